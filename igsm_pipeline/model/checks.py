"""Checks of model folders: they load, and their weights are finite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from igsm_pipeline.stage import Outcome, StageUnits

_OF_TORCH = frozenset({"BF16", "F8_E4M3", "F8_E5M2"})


def checkpoint_loads(run: StageUnits) -> Outcome:
    """The weights are readable and finite. A checkpoint that was just trained must also load as a model."""
    tensors = 0
    for folder in run.folders():
        try:
            with safe_open(folder / "model.safetensors", framework="numpy") as weights:
                for name in weights.keys():  # noqa: SIM118  (safe_open is no mapping)
                    if not _is_finite(folder / "model.safetensors", name, weights.get_slice(name).get_dtype()):
                        return Outcome(False, f"{name} holds a value that is not finite")
                    tensors += 1
        except (OSError, SafetensorError) as error:
            return Outcome(False, f"model.safetensors cannot be read ({error})")
        if not run.hit:
            from igsm_pipeline.model.gpt2_rotary import load  # noqa: PLC0415  (torch)

            load(folder)
    return Outcome(tensors > 0, f"{tensors} tensors, all finite", {"tensors": tensors})


def _is_finite(path: Path, name: str, kind: str) -> bool:
    """Whether all of a tensor's values are finite; NumPy knows neither bfloat16 nor the types of eight bits."""
    if kind not in _OF_TORCH:
        with safe_open(path, framework="numpy") as weights:
            return bool(np.isfinite(weights.get_tensor(name)).all())
    import torch  # noqa: PLC0415

    with safe_open(path, framework="pt") as weights:
        return bool(torch.isfinite(weights.get_tensor(name).float()).all())
