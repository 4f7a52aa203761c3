"""Rows of the paper's tables, each number with its n and a 95% interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from igsm_pipeline.intervals.interval import Interval, of_columns
from igsm_pipeline.intervals.share import Z95, share
from igsm_pipeline.reports.findings import Row

_THREE_QUARTERS = 0.76
"""The share of a probe's steps up to which a score is one of before the last quarter; scores stand near every twelfth."""
PROBES = ("v_probe", "linear", "random", "linear_random", "majority")


def mean(values: Sequence[float]) -> Interval:
    """A mean with its normal interval, which ends at 0 for counts."""
    if not len(values):
        return Interval(math.nan, math.nan, math.nan)
    array = np.asarray(values, dtype=np.float64)
    half = Z95 * float(array.std(ddof=1)) / math.sqrt(len(array)) if len(array) > 1 else math.nan
    value = float(array.mean())
    return Interval(value, max(0.0, value - half) if (array >= 0).all() else value - half, value + half, len(array))


@dataclass(frozen=True)
class Accuracy:
    """How a model did on one slice (or one op of it).

    Attributes:
        slice: the slice.
        beams: beams of the generation.
        op: one op level; None for the whole slice.
        n: problems.
        correct: share of fully correct solutions.
        answer: share of correct final answers.
        unfinished: share of completions that ran into the token limit.
        extra_operations: unnecessary operations per fully correct solution.
        extra_parameters: unnecessary parameters per fully correct solution.
    """

    slice: str
    beams: int
    op: int | None
    n: int
    correct: Interval
    answer: Interval
    unfinished: Interval
    extra_operations: Interval
    extra_parameters: Interval

    @classmethod
    def of(cls, part: str, beams: int, op: int | None, rows: Sequence[Row]) -> Accuracy:
        """The scores of some verdicts."""
        right = [row for row in rows if row["correct"]]
        return cls(
            part,
            beams,
            op,
            len(rows),
            share(len(right), len(rows)),
            share(sum(row["final_answer_correct"] for row in rows), len(rows)),
            share(sum(not row["finished"] for row in rows), len(rows)),
            mean([row["unnecessary_operations"] for row in right]),
            mean([row["unnecessary_parameters"] for row in right]),
        )

    @property
    def name(self) -> str:
        """The slice, with its beams where there is more than one."""
        return self.slice if self.beams == 1 else f"{self.slice}, beam {self.beams}"


def accuracy_rows(verdicts: Iterable[Row]) -> list[Accuracy]:
    """Figures 3 and 4: one row per slice and beams, in the order in which they come."""
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in verdicts:
        groups.setdefault((row["slice"], row["beams"]), []).append(row)
    return [Accuracy.of(part, beams, None, rows) for (part, beams), rows in groups.items()]


def accuracy_by_op(verdicts: Iterable[Row]) -> list[Accuracy]:
    """One row per beams and op, over every slice but reask; of ``by_op`` alone where it has that op (its problems are drawn for this)."""
    groups: dict[tuple[int, int], dict[str, list[Row]]] = {}
    for row in verdicts:
        if row["slice"] != "reask":
            groups.setdefault((row["beams"], row["op"]), {}).setdefault(row["slice"], []).append(row)
    found = []
    for (beams, op), slices in sorted(groups.items()):
        rows = slices.get("by_op") or [row for part in slices.values() for row in part]
        found.append(Accuracy.of("by_op", beams, op, rows))
    return found


def errors_by_slice(verdicts: Iterable[Row]) -> dict[str, dict[str, int]]:
    """slice (beam 1) -> first error -> how many solutions, commonest first."""
    counts: dict[str, dict[str, int]] = {}
    for row in verdicts:
        if row["beams"] == 1 and not row["correct"]:
            errors = counts.setdefault(row["slice"], {})
            errors[row["error"]] = errors.get(row["error"], 0) + 1
    return {part: dict(sorted(errors.items(), key=lambda item: -item[1])) for part, errors in counts.items()}


def whole_scores(scores: Iterable[Row], subset: str = "all") -> dict[tuple[str, str, str], Row]:
    """(task, slice, probe) -> score over all ops; of several layers the one that held-out training problems chose."""
    rows = (row for row in scores if row["subset"] == subset and row["op"] is None and row["chosen"] is not False)
    return {(row["task"], row["slice"], row["probe"]): row for row in rows}


def before_last_quarter(curve: Sequence[Row]) -> Row | None:
    """The last row of a probe's curve that is not of the last quarter of its training; None where there is none."""
    last = max(row["step"] for row in curve)
    return next((row for row in reversed(curve) if row["step"] <= _THREE_QUARTERS * last), None)


def score(row: Row | None, name: str) -> Interval | None:
    """One score of a row of a metrics table, with its interval; None where it is undefined."""
    if row is None or row.get(name) is None:
        return None
    return of_columns(row, name)
