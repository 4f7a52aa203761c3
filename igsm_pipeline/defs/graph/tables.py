"""The table that Dagster shows beside a stage: the numbers that people look for first, each with its n and 95% interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq

from igsm_pipeline.running.stage_runs import StageRun

MOST_ROWS = 60
_TEXT = 240


def stage_table(run: StageRun) -> str | None:
    """A stage's table as Markdown; None where it has none."""
    make = _TABLES.get(run.stage)
    if make is None or not run.units:
        return None
    head, rows = make(run)
    if not rows:
        return None
    more = f"\n\nand {len(rows) - MOST_ROWS} more rows: `igsm sql`" if len(rows) > MOST_ROWS else ""
    return markdown_table(head, rows[:MOST_ROWS]) + more


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


Table = tuple[Sequence[str], Sequence[Sequence[object]]]


def _problem_sets(run: StageRun) -> Table:
    rows = []
    for unit in run.units:
        ops: Counter[int] = Counter()
        for path in sorted(run.store.path(unit).glob("*.parquet")):
            ops.update(pq.read_table(path, columns=["op"])["op"].to_pylist())
        mean = sum(op * count for op, count in ops.items()) / max(1, ops.total())
        rows.append((unit.name, unit.settings["split"], f"{ops.total():,}", f"{min(ops)} to {max(ops)}", f"{mean:.2f}"))
    return ("set", "split", "problems", "op", "mean op"), rows


def _generations(run: StageRun) -> Table:
    """The first solution of every slice."""
    rows = []
    for unit in run.units:
        table = pq.read_table(run.store.path(unit) / "generations.parquet", columns=["text", "finished"]).slice(0, 1).to_pylist()
        for row in table:
            text = " ".join(row["text"].split())
            rows.append((unit.name, text[:_TEXT] + ("..." if len(text) > _TEXT else ""), "yes" if row["finished"] else "no"))
    return ("slice", "first solution", "finished"), rows


def _verdicts(run: StageRun) -> Table:
    from igsm_pipeline.reports.tables import share  # noqa: PLC0415  (keeps the code location light)

    rows = []
    for unit in run.units:
        table = pq.read_table(run.store.path(unit) / "verdicts.parquet", columns=["correct", "error"]).to_pydict()
        found = share(sum(table["correct"]), len(table["correct"]))
        errors = Counter(error for error in table["error"] if error is not None).most_common(1)
        most = f"{errors[0][0]} ({errors[0][1]:,})" if errors else "-"
        rows.append((unit.name, f"{len(table['correct']):,}", *_percent(found.value, found.low, found.high), most))
    return ("slice", "n", "correct, %", "95% interval", "most frequent error"), rows


def _probes(run: StageRun) -> Table:
    """Each task, slice and probe on all queries; of linear probes the best layer."""
    best: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for folder in run.folders():
        for row in pq.read_table(folder / "metrics.parquet").to_pylist():
            key = (row["task"], row["slice"], row["probe"])
            if row["subset"] == "all" and row["op"] is None and _value(row) > _value(best.get(key)):
                best[key] = row
    rows = [
        (
            *key,
            "-" if row["layer"] is None else row["layer"],
            f"{row['n']:,}",
            f"{100 * row['accuracy']:.1f}",
            *_percent(row["balanced_accuracy"], row["balanced_accuracy_low"], row["balanced_accuracy_high"]),
            *_percent(row["balanced_accuracy_gain"], row["balanced_accuracy_gain_low"], row["balanced_accuracy_gain_high"]),
        )
        for key, row in best.items()
    ]
    head = ("task", "slice", "probe", "layer", "n", "accuracy, %", "balanced, %", "95% interval", "gain over random weights", "95% interval")
    return head, rows


def _value(row: Mapping[str, Any] | None) -> float:
    return -1.0 if row is None or row["balanced_accuracy"] is None else float(row["balanced_accuracy"])


def _correlation(run: StageRun) -> Table:
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


_TABLES: Mapping[str, Callable[[StageRun], Table]] = {
    "problem_sets": _problem_sets,
    "generations": _generations,
    "verdicts": _verdicts,
    "probe_scores": _probes,
    "error_correlation": _correlation,
}
