"""A file's verdicts as a table: accuracy and redundancy by op, kinds of first errors, all with 95% intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import NamedTuple

from igsm_pipeline.intervals.share import wilson_interval
from igsm_pipeline.verification.files import Judged, Judgement
from igsm_pipeline.verification.verdict import Error


class Share(NamedTuple):
    """Hits among n, with Wilson's 95% interval (0 to 1 for n = 0)."""

    hits: int
    n: int
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.hits / self.n:.4f} [{self.low:.4f}, {self.high:.4f}]" if self.n else "-"


class OpSummary(NamedTuple):
    """Solutions of one op.

    Attributes:
        op: the problems' operations; None for all together.
        correct: fully correct ones among all.
        answered: those with the right final answer among all.
        redundant: those that define unnecessary parameters among the fully correct.
        parameters: mean number of unnecessary parameters of a fully correct one; 0 where there is none.
        operations: likewise of unnecessary operations.
    """

    op: int | None
    correct: Share
    answered: Share
    redundant: Share
    parameters: float
    operations: float


def share(hits: int, n: int) -> Share:
    """A share with its interval."""
    return Share(hits, n, *wilson_interval(hits, n))


def by_op(judged: Iterable[Judged]) -> tuple[OpSummary, ...]:
    """One row per op in rising order, then one for all."""
    ordered = sorted(judged, key=_op)
    return (*(_summary(op, list(group)) for op, group in groupby(ordered, _op)), _summary(None, ordered))


def by_error(judged: Iterable[Judged]) -> dict[Error, Share]:
    """The share of each kind of first error among all solutions, commonest first."""
    everything = [one.verdict.error for one in judged]
    counts = {error: everything.count(error) for error in Error}
    return {error: share(count, len(everything)) for error, count in sorted(counts.items(), key=lambda item: -item[1]) if count}


def summary_lines(judgement: Judgement) -> list[str]:
    """The table that ``igsm verify`` prints: by op, by kind of first error, and the rows that could not be judged."""
    columns: tuple[tuple[str, int, Callable[[OpSummary], str]], ...] = (
        ("op", 4, lambda row: "all" if row.op is None else str(row.op)),
        ("n", 8, lambda row: f"{row.correct.n:,}"),
        ("fully correct", 25, lambda row: str(row.correct)),
        ("right answer", 25, lambda row: str(row.answered)),
        ("redundant of correct", 25, lambda row: str(row.redundant)),
        ("parameters", 11, lambda row: f"{row.parameters:.3f}"),
        ("operations", 11, lambda row: f"{row.operations:.3f}"),
    )
    lines = ["".join(title.rjust(width) for title, width, _ in columns)]
    lines += ["".join(cell(row).rjust(width) for _, width, cell in columns) for row in by_op(judgement.judged)]
    lines += ["", "first error".ljust(20) + "n".rjust(8) + "of all".rjust(25)]
    lines += [f"{error.value:<20}{one.hits:>8,}{one!s:>25}" for error, one in by_error(judgement.judged).items()]
    lines += ["", f"{len(judgement.judged):,} judged, {len(judgement.refused):,} that could not be{':' if judgement.refused else ''}"]
    return lines + [f"row {one.number}: {one.reason}" for one in judgement.refused]


def _op(judged: Judged) -> int:
    return judged.op


def _summary(op: int | None, judged: list[Judged]) -> OpSummary:
    right = [one.verdict for one in judged if one.verdict.correct]
    n = max(1, len(right))
    return OpSummary(
        op,
        share(len(right), len(judged)),
        share(sum(one.verdict.final_answer_correct for one in judged), len(judged)),
        share(sum(one.unnecessary_parameters > 0 for one in right), len(right)),
        sum(one.unnecessary_parameters for one in right) / n,
        sum(one.unnecessary_operations for one in right) / n,
    )
