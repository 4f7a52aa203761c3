"""Weights on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from igsm_pipeline.store import written_whole


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors into one safetensors file; a missing folder is made, and an interrupted write leaves no half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, temporary)
