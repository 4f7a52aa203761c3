"""Weights on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from igsm_pipeline.store import written_whole

CHECKSUM = "sha256"


def write_tensors(tensors: Mapping[str, Tensor], path: Path, *, checked: bool = False) -> None:
    """Write tensors into one safetensors file; a missing folder is made, and an interrupted write leaves no half a file.

    Args:
        tensors: by name.
        path: the file.
        checked: keep a checksum beside them, for ``read_checked``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with written_whole(path) as temporary:
        save_file(kept, temporary, metadata={CHECKSUM: _checksum(kept)} if checked else None)


def read_checked(path: Path) -> dict[str, Tensor]:
    """Tensors that were written ``checked``.

    Raises:
        ValueError: they are others than those that were written, or have no checksum.
        OSError, SafetensorError: the file cannot be read.
    """
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a safetensors file is no mapping)
        written = (file.metadata() or {}).get(CHECKSUM)
    if written != _checksum(tensors):
        raise ValueError("it was altered")
    return tensors


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    total = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        total.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        total.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
