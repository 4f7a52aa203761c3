"""The table that stands beside a stage: the numbers that people look for first, each with its n and 95% interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pyarrow.parquet as pq

from igsm_pipeline.intervals.share import share
from igsm_pipeline.probes.checks import headline_scores
from igsm_pipeline.stage import StageUnits

_TEXT = 240


Table = tuple[Sequence[str], Sequence[Sequence[object]]]


def problem_sets(run: StageUnits) -> Table:
    """Size and ops of every set."""
    rows = []
    for unit in run.units:
        ops: Counter[int] = Counter()
        for path in sorted(run.store.path(unit).glob("*.parquet")):
            ops.update(pq.read_table(path, columns=["op"])["op"].to_pylist())
        mean = sum(op * count for op, count in ops.items()) / max(1, ops.total())
        rows.append((unit.name, unit.settings["split"], f"{ops.total():,}", f"{min(ops)} to {max(ops)}", f"{mean:.2f}"))
    return ("set", "split", "problems", "op", "mean op"), rows


def generations(run: StageUnits) -> Table:
    """The first solution of every slice."""
    rows = []
    for unit in run.units:
        table = pq.read_table(run.store.path(unit) / "generations.parquet", columns=["text", "finished"]).slice(0, 1).to_pylist()
        for row in table:
            text = " ".join(row["text"].split())
            rows.append((unit.name, text[:_TEXT] + ("..." if len(text) > _TEXT else ""), "yes" if row["finished"] else "no"))
    return ("slice", "first solution", "finished"), rows


def verdicts(run: StageUnits) -> Table:
    """Fully correct solutions of every slice, and the most frequent error."""
    rows = []
    for unit in run.units:
        table = pq.read_table(run.store.path(unit) / "verdicts.parquet", columns=["correct", "error"]).to_pydict()
        found = share(sum(table["correct"]), len(table["correct"]))
        errors = Counter(error for error in table["error"] if error is not None).most_common(1)
        most = f"{errors[0][0]} ({errors[0][1]:,})" if errors else "-"
        rows.append((unit.name, f"{len(table['correct']):,}", *_percent(found.value, found.low, found.high), most))
    return ("slice", "n", "correct, %", "95% interval", "most frequent error"), rows


def probe_scores(run: StageUnits) -> Table:
    """Each task, slice and probe on all queries: the V-probe, and the linear probe at its chosen layer."""
    rows = [
        (
            *(row[name] for name in ("task", "slice", "probe")),
            "-" if row["layer"] is None else row["layer"],
            f"{row['n']:,}",
            f"{100 * row['accuracy']:.1f}",
            *_percent(row["balanced_accuracy"], row["balanced_accuracy_low"], row["balanced_accuracy_high"]),
            *_percent(row["balanced_accuracy_gain"], row["balanced_accuracy_gain_low"], row["balanced_accuracy_gain_high"]),
        )
        for row in headline_scores(run)
    ]
    head = ("task", "slice", "probe", "layer", "n", "accuracy, %", "balanced, %", "95% interval", "gain over random weights", "95% interval")
    return head, rows


def error_correlation(run: StageUnits) -> Table:
    """Figure 8: the probe's answers at mistakes and elsewhere."""
    rows = [
        (
            row["figure"],
            row["task"],
            row["slice"],
            f"{row['n']:,}",
            *_percent(row["rate"], row["low"], row["high"]),
            *_percent(row["baseline_rate"], row["baseline_low"], row["baseline_high"]),
        )
        for folder in run.folders()
        for row in pq.read_table(folder / "correlation.parquet").to_pylist()
    ]
    return ("figure", "task", "slice", "n", "rate, %", "95% interval", "elsewhere, %", "95% interval"), rows


def _percent(value: float | None, low: float | None, high: float | None) -> tuple[str, str]:
    if value is None:
        return "-", "-"
    return f"{100 * value:.1f}", "-" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"
