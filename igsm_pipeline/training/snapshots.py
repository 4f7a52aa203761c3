"""Snapshots of a training: weights at some of its steps, each a folder that ``AutoModelForCausalLM`` loads.

Ours: which steps, and how they are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

FOLDER = "snapshots"


def snapshot_steps(num_steps: int, snapshots: int | Sequence[int]) -> tuple[int, ...]:
    """After which steps weights are kept: before the first, then at steps that grow by one factor up to two thirds, then evenly up to the last.

    Args:
        num_steps: steps of the training.
        snapshots: how many there are at most, the first and the last among them; a third of them are in the last third. 0: none.
            Or the steps themselves.

    Example:
        >>> snapshot_steps(4000, 14)
        (0, 1, 2, 6, 16, 44, 122, 338, 937, 2600, 2950, 3300, 3650, 4000)
    """
    if not isinstance(snapshots, int):
        return tuple(snapshots)
    if not snapshots:
        return ()
    late = max(1, snapshots // 3)
    early = max(0, snapshots - 1 - late)
    turn = num_steps * 0.65
    grown = np.geomspace(1, max(1.0, turn), early).round().astype(int) if early else np.empty(0, int)
    even = np.linspace(turn if early else 0, num_steps, late + 1).round().astype(int)[1:]
    return tuple(sorted({0, *grown.tolist(), *even.tolist()}))


def folder_at(checkpoint: Path, step: int) -> Path:
    """The folder of the snapshot after a step."""
    return checkpoint / FOLDER / f"{step:09d}"


def snapshots_in(checkpoint: Path) -> dict[int, Path]:
    """The snapshots of a checkpoint by step, in order."""
    return {int(path.name): path for path in sorted((checkpoint / FOLDER).glob("[0-9]*"))}
