"""What must hold of training windows: the ops of the law, filled windows, nothing lost for its length."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from igsm_pipeline.problems.checks import op_faults, table_column, table_files
from igsm_pipeline.stage import Outcome, StageUnits
from igsm_pipeline.store import Unit

_MOST_LOST = 0.5


def shard_ops(run: StageUnits) -> Outcome:
    """Every shard took up the ops that the law of its problem set asks for, by a chi-square test."""
    wrong, least, number = [], 1.0, 0
    for unit, shard in _shards(run):
        settings, number = unit.inputs["problems"].settings, number + 1
        p, faults = op_faults(settings, {op: count for op, count in enumerate(shard["op_histogram"]) if count})
        least = min(least, p)
        wrong += [f"{shard['file']}: {fault}" for fault in faults]
    return Outcome(not wrong, "; ".join(wrong) or f"{number} shards that record their ops have those of the law", {"least p of chi-square": least})


def lengths(run: StageUnits) -> Outcome:
    """No op level of the family loses more than half of its problems to the window's length; windows hold between 2 and ``window`` tokens."""
    wrong, made, lost = [], Counter[int](), Counter[int]()
    for _, shard in _shards(run):
        made.update(dict(enumerate(shard["op_histogram"])))
        lost.update(dict(enumerate(shard["dropped_ops"])))
    wrong += [f"{lost[op]} of {made[op]} problems of op {op} are longer than a window" for op in sorted(made) if lost[op] > _MOST_LOST * made[op]]
    for unit, path in table_files(run):
        filled = table_column(path, "length")
        if len(filled) and not 2 <= filled.min() <= filled.max() <= unit.settings["window"]:
            wrong.append(f"{path.name}: windows hold {filled.min()} to {filled.max()} tokens")
    message = f"{lost.total():,} of {made.total():,} problems are longer than a window"
    return Outcome(not wrong, "; ".join(wrong) or message, {"dropped by op": {op: number for op, number in sorted(lost.items()) if number}})


def _shards(run: StageUnits) -> Iterator[tuple[Unit, dict[str, Any]]]:
    """The counts of every shard; none of units of earlier versions, which did not record them."""
    for unit in run.units:
        for shard in shard_summaries(run.store.path(unit)):
            yield unit, shard


def shard_summaries(folder: Path) -> list[dict[str, Any]]:
    """What a unit of shards says of each; nothing where an earlier version wrote it."""
    path = folder / "summary.json"
    found: list[dict[str, Any]] = json.loads(path.read_text())["shards"] if path.is_file() else []
    return found
