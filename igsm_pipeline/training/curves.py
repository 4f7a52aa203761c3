"""Writes and reads the training curves: metrics.jsonl (one JSON object per line) and clock.jsonl (the speed).

Rows of metrics.jsonl: ``{"step", "loss", "lr", "tokens", "grad_norm"}`` for every logged step; ``{"step", "accuracy": {op: [correct, n]},
"slices": {slice: [correct, n]}}`` when the monitor problems were solved (``slices`` only if some are watched); ``{"step", "warning": text}``.
``step`` is the number of steps done. A resumed training removes the rows after the step that it resumes from.

clock.jsonl has the pace of each logged step (see ``pace``: ``tokens_per_s`` and so on). It is a file of its own because a repeated training gives the
same metrics but not the same speed. ``read_metrics`` joins the two.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from igsm_pipeline.store import CLOCK, write_atomically

METRICS = "metrics.jsonl"
PACE = ("tokens_per_s", "padding", "waiting", "tflops_per_s", "memory_gb", "mfu")
"""Columns of clock.jsonl, where they are known."""


class MetricsLog:
    """Appends rows to a folder's metrics.jsonl and clock.jsonl and keeps them in ``rows``."""

    def __init__(self, folder: Path, resumed_step: int) -> None:
        self.folder = folder
        self.rows = [row for row in read_metrics(folder) if row["step"] <= resumed_step] if resumed_step else []
        parts = [_split(row) for row in self.rows]
        write_atomically(folder / CLOCK, "".join(_line(pace) for _, pace in parts if pace).encode())
        write_atomically(folder / METRICS, "".join(_line(kept) for kept, _ in parts).encode())

    def append(self, row: Mapping[str, Any]) -> None:
        """Append one row; it is written when this returns (not necessarily synced to the disk)."""
        self.rows.append(dict(row))
        kept, pace = _split(row)
        if pace:
            with (self.folder / CLOCK).open("a") as stream:
                stream.write(_line(pace))
        with (self.folder / METRICS).open("a") as stream:
            stream.write(_line(kept))


def _split(row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a row into the row without its pace, and the pace (empty if it has none)."""
    pace = {name: row[name] for name in PACE if name in row}
    return {name: value for name, value in row.items() if name not in PACE}, {"step": row["step"], **pace} if pace else {}


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row) + "\n"


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """All complete rows of a folder, with their pace. A last line that a crash cut short is dropped; without a file there are no rows."""
    paces = {row["step"]: row for row in _rows(folder / CLOCK)}
    return [with_pace(row, paces) for row in _rows(folder / METRICS)]


def with_pace(row: dict[str, Any], paces: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """A row of metrics.jsonl with the row of clock.jsonl of its step, if it is one of a logged step."""
    return {**row, **paces.get(row["step"], {})} if "loss" in row else row


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


class GrowingLines:
    """Reads the JSON lines of a file that another process appends to, each once; a file that was replaced or cut is read from its start."""

    def __init__(self) -> None:
        self._file, self._end = 0, 0

    def read(self, path: Path) -> list[dict[str, Any]]:
        """The whole lines that were added since the last call, up to one that is no JSON; without a file there are none."""
        try:
            with path.open("rb") as stream:
                stat = os.fstat(stream.fileno())
                if stat.st_ino != self._file or stat.st_size < self._end:
                    self._file, self._end = stat.st_ino, 0
                stream.seek(self._end)
                *lines, _begun = stream.read().split(b"\n")
        except FileNotFoundError:
            return []
        rows = []
        for line in lines:
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
            self._end += len(line) + 1
        return rows


def ops_of(row: Mapping[str, Any]) -> dict[int, float]:
    """The share of fully correct solutions per op in one row; empty if the row has none."""
    return {int(op): right / n for op, (right, n) in row.get("accuracy", {}).items() if n}


def slices_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The share of fully correct solutions per watched slice in one row; empty if the row has none."""
    return {name: right / n for name, (right, n) in row.get("slices", {}).items() if n}


def flat_accuracy_warning(rows: Sequence[Mapping[str, Any]], looks: int = 3, gain: float = 0.02, fall: float = 0.02) -> str | None:
    """Warn if accuracy did not rise over the last looks while the loss fell: then a model learns text but not iGSM.

    Args:
        rows: all metrics rows so far.
        looks: number of looks to compare over.
        gain: smallest rise of mean accuracy that counts as progress.
        fall: smallest relative fall of the loss that counts as one.
    """
    seen = [(row["step"], row["accuracy"]) for row in rows if "accuracy" in row]
    if len(seen) <= looks:
        return None
    (old_step, old), (step, new) = seen[-1 - looks], seen[-1]
    before, after = _overall(old), _overall(new)
    losses = {row["step"]: row["loss"] for row in rows if "loss" in row}
    old_loss = losses.get(max((s for s in losses if s <= old_step), default=-1))
    new_loss = losses.get(max((s for s in losses if s <= step), default=-1))
    if old_loss is None or new_loss is None or after > 0.9 or after - before >= gain or new_loss > old_loss * (1 - fall):
        return None
    return (
        f"accuracy stayed at {after:.1%} (was {before:.1%}) from step {old_step} to {step} while the loss fell "
        f"from {old_loss:.4f} to {new_loss:.4f}: check data, positions and rotary settings"
    )


def _overall(accuracy: Mapping[str, Sequence[int]]) -> float:
    return sum(right for right, _ in accuracy.values()) / max(1, sum(n for _, n in accuracy.values()))
