"""Checks of the error correlation: its counts agree with the verdicts and the events, and its rates are between 0 and 1."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow.parquet as pq

from igsm_pipeline.stage import Outcome, StageUnits, folder_of, parts_of

_RATES = ("rate", "low", "high", "baseline_rate", "baseline_low", "baseline_high", "accuracy")


def counts_agree(run: StageUnits) -> Outcome:
    """Counts of wrong solutions agree with the verdicts, counts of events with ``events.parquet``, and rates are between 0 and 1."""
    wrong, rows = [], 0
    for unit in run.units:
        folder = run.store.path(unit)
        inputs = {role: run.store.path(source) for role, source in unit.inputs.items()}
        listed = Counter((row["figure"], row["task"], row["slice"]) for row in pq.read_table(folder / "events.parquet").to_pylist())
        failed = {}
        for part in parts_of(inputs, "verdicts"):
            verdicts = pq.read_table(folder_of(inputs, "verdicts", part) / "verdicts.parquet", columns=["correct"])["correct"].to_pylist()
            failed[part] = len(verdicts) - sum(verdicts)
        totals = _totals(listed), {**failed, "all": sum(failed.values())}
        table = pq.read_table(folder / "correlation.parquet").to_pylist()
        wrong += [f"{row['figure']} {row['task']} {row['slice']}: {fault}" for row in table for fault in _faults(row, *totals)]
        rows += len(table)
    return Outcome(not wrong, "; ".join(wrong) or f"{rows} rows agree with the verdicts and the events", {"rows": rows})


def _totals(listed: Counter[tuple[str, str, str]]) -> Counter[tuple[str, str, str]]:
    """Events by figure, task and slice, and by figure and task over all slices."""
    total = Counter(listed)
    for (figure, task, _), number in listed.items():
        total[figure, task, "all"] += number
    return total


def _faults(row: dict[str, Any], events: Counter[tuple[str, str, str]], failed: dict[str, int]) -> list[str]:
    found = []
    if row["n"] != (number := events[row["figure"], row["task"], row["slice"]]):
        found.append(f"{row['n']} events, but events.parquet lists {number}")
    if row["figure"] == "b" and row["solutions"] != failed[row["slice"]]:
        found.append(f"{row['solutions']} wrong solutions, but the verdicts have {failed[row['slice']]}")
    if row["num_problems"] > row["solutions"]:
        found.append(f"events in {row['num_problems']} of {row['solutions']} solutions")
    return [*found, *(f"{rate} is {row[rate]}" for rate in _RATES if row[rate] is not None and not 0 <= row[rate] <= 1)]
