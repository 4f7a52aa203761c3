"""Training states on disk, as safetensors and JSON; the last two are kept.

``<folder>/state/step-000001000/`` has model.safetensors, optimizer.safetensors and state.json (step, loss scale, counters, the SHA-256
of the two files and of itself). A state is used only if these hashes and the step in its folder's name are right. If the newest state is damaged,
the one before it is used and the damage is reported. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from igsm_pipeline.store import hash_file

STATE = "state"
KEPT = 2
_STEP = "step-"
_MODEL, _OPTIMIZER = "model.safetensors", "optimizer.safetensors"
_log = logging.getLogger(__name__)


def save_state(folder: Path, step: int, model: nn.Module, optimizers: list[torch.optim.Optimizer], extra: dict[str, Any]) -> None:
    """Write the state after ``step`` steps, and remove all but the last two. A crash at any moment leaves the earlier states whole.

    Raises:
        OSError: the disk is full or cannot be written; the half-written state is removed, and the earlier ones stay.
    """
    root = folder / STATE
    root.mkdir(exist_ok=True)
    for leftover in root.glob("*.tmp"):
        shutil.rmtree(leftover)
    final = root / f"{_STEP}{step:09d}"
    temporary = final.with_name(final.name + ".tmp")
    try:
        temporary.mkdir()
        parts = {_MODEL: _model_tensors(model), _OPTIMIZER: _optimizer_tensors(model, optimizers)}
        hashes = {name: _write(temporary / name, save(tensors)) for name, tensors in parts.items()}
        values = {"step": step, "sha256": hashes, **extra}
        _write(temporary / "state.json", json.dumps({**values, "checksum": _checksum(values)}).encode())
        _sync(temporary)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        kept = [path.name for path in sorted(root.glob("step-?????????"))]
        _log.error("the training state after step %d cannot be written (%s); kept: %s", step, error, ", ".join(kept) or "none")
        raise
    if final.exists():
        shutil.rmtree(final)
    temporary.rename(final)
    _sync(root)
    for old in sorted(root.glob("step-?????????"))[:-KEPT]:
        shutil.rmtree(old)


def load_newest_state(folder: Path, model: nn.Module, optimizers: list[torch.optim.Optimizer], *, remove: bool = True) -> dict[str, Any] | None:
    """Load the newest whole state into model and optimizers.

    Args:
        folder: the training's.
        model, optimizers: get the state.
        remove: remove damaged states.

    Returns:
        Its state.json (``step`` and the caller's ``extra``), or None if there is no whole state. Damaged states are reported.

    Raises:
        OSError: a file is there and cannot be read, which may pass; nothing is removed.
    """
    for path in sorted((folder / STATE).glob("step-?????????"), reverse=True):
        try:
            values: dict[str, Any] = json.loads((path / "state.json").read_text())
            if values["step"] != int(path.name.removeprefix(_STEP)):
                raise ValueError(f"state.json says step {values['step']}")
            if values.get("checksum") != _checksum(values):
                raise ValueError("state.json was altered")
            for name in (_MODEL, _OPTIMIZER):
                if hash_file(path / name) != values["sha256"][name]:
                    raise ValueError(f"{name} does not have the SHA-256 it was written with")
            _restore(model, optimizers, load_file(path / _MODEL), load_file(path / _OPTIMIZER))
        except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
            _log.warning("training state %s is damaged (%s); falling back to the one before", path, error)
            if remove:
                shutil.rmtree(path, ignore_errors=True)
            continue
        except OSError as error:
            _log.error("training state %s cannot be read (%s); try again, or remove it to go on from the one before", path, error)
            raise
        return values
    return None


def remove_states(folder: Path) -> None:
    """Remove all training states of a finished run."""
    shutil.rmtree(folder / STATE, ignore_errors=True)


def _model_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().contiguous() for name, parameter in model.named_parameters()}


def _optimizer_tensors(model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, parameter in model.named_parameters():
        for optimizer in optimizers:
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"{name}|{key}"] = value.detach().contiguous()
    return tensors


@torch.no_grad()
def _restore(model: nn.Module, optimizers: list[torch.optim.Optimizer], weights: dict[str, torch.Tensor], moments: dict[str, torch.Tensor]) -> None:
    parameters = dict(model.named_parameters())
    if parameters.keys() != weights.keys():
        raise ValueError(f"{_MODEL} holds other parameters than the model")
    if any(weights[name].shape != parameter.shape for name, parameter in parameters.items()):  # before anything is changed
        raise ValueError(f"{_MODEL} holds parameters of other shapes than the model's")
    if strange := {key.rpartition("|")[0] for key in moments} - parameters.keys():
        raise ValueError(f"{_OPTIMIZER} holds {sorted(strange)[0]!r}, which the model has not")
    owners = {id(parameter): optimizer for optimizer in optimizers for group in optimizer.param_groups for parameter in group["params"]}
    for name, parameter in parameters.items():
        parameter.copy_(weights[name])
    for optimizer in optimizers:
        optimizer.state.clear()
    for key, value in moments.items():
        name, _, entry = key.rpartition("|")
        parameter = parameters[name]
        owners[id(parameter)].state[parameter][entry] = value.to(parameter.device)


def _checksum(values: dict[str, Any]) -> str:
    """SHA-256 of state.json without its own checksum."""
    rest = json.loads(json.dumps({key: value for key, value in values.items() if key != "checksum"}))
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _write(path: Path, data: bytes) -> str:
    """Write a file and sync it to the disk; returns the SHA-256 of its content."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    return hashlib.sha256(data).hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
