"""The verdicts of a file as a table: accuracy and redundancy by op, and kinds of first errors, all with 95% intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from igsm_pipeline.intervals.interval import Interval
from igsm_pipeline.intervals.share import share
from igsm_pipeline.verification.files import Judged, Refused
from igsm_pipeline.verification.rows.spelling import Spelling
from igsm_pipeline.verification.verdict import Error

MAX_NAMED = 5
"""How many refused rows are named for each reason."""


class OpSummary(NamedTuple):
    """The solutions of one op.

    Attributes:
        op: operations of the problems; None for all together.
        correct: share of fully correct solutions.
        answered: share of solutions with the right final answer.
        redundant: share of the fully correct ones that define unnecessary parameters.
        parameters: mean number of unnecessary parameters of a fully correct one; 0 if there is none.
        operations: the same for unnecessary operations.
    """

    op: int | None
    correct: Interval
    answered: Interval
    redundant: Interval
    parameters: float
    operations: float


@dataclass
class _OpCounts:
    """Counts of the rows of one op."""

    n: int = 0
    correct: int = 0
    answered: int = 0
    redundant: int = 0
    parameters: int = 0
    operations: int = 0

    def add(self, judged: Judged) -> None:
        verdict = judged.verdict
        self.n += 1
        self.answered += verdict.final_answer_correct
        if verdict.correct:
            self.correct += 1
            self.redundant += verdict.unnecessary_parameters > 0
            self.parameters += verdict.unnecessary_parameters
            self.operations += verdict.unnecessary_operations

    def merge(self, other: _OpCounts) -> None:
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)

    def summary(self, op: int | None) -> OpSummary:
        right = max(1, self.correct)
        shares = (share(self.correct, self.n), share(self.answered, self.n), share(self.redundant, self.correct))
        return OpSummary(op, *shares, self.parameters / right, self.operations / right)


@dataclass
class Tally:
    """Counts of a file's verdicts. Rows are added one by one, so a file of any length takes the same memory.

    Attributes:
        judged: rows with a verdict.
        refused: rows without a verdict.
        unanswered: judged rows that have no answer beside or after the solution.
        errors: kinds of first errors.
        spellings: ways of spelling that were changed, by rows.
        reasons: (field without running numbers, rule) of refusals, by rows.
        named: the first refused rows of each reason.
    """

    judged: int = 0
    refused: int = 0
    unanswered: int = 0
    errors: Counter[Error] = field(default_factory=Counter)
    spellings: Counter[Spelling] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    named: dict[tuple[str, str], list[Refused]] = field(default_factory=dict)
    _ops: dict[int, _OpCounts] = field(default_factory=dict)
    _all: _OpCounts = field(default_factory=_OpCounts)

    def add(self, one: Judged | Refused) -> None:
        """Count a row."""
        if isinstance(one, Refused):
            self.refused += 1
            reason = (one.field.rstrip(" 0123456789"), one.rule)
            self.reasons[reason] += 1
            named = self.named.setdefault(reason, [])
            if len(named) < MAX_NAMED:
                named.append(one)
            return
        self.judged += 1
        self.unanswered += not one.answered
        self.spellings.update(one.spellings)
        if one.verdict.error is not None:
            self.errors[one.verdict.error] += 1
        self._ops.setdefault(one.op, _OpCounts()).add(one)
        self._all.add(one)

    def merge(self, later: Tally) -> None:
        """Count the rows of another tally, all of which come after those of this one."""
        self.judged += later.judged
        self.refused += later.refused
        self.unanswered += later.unanswered
        self.errors += later.errors
        self.spellings += later.spellings
        self.reasons += later.reasons
        for reason, rows in later.named.items():
            named = self.named.setdefault(reason, [])
            named += rows[: MAX_NAMED - len(named)]
        for op, counts in later._ops.items():
            self._ops.setdefault(op, _OpCounts()).merge(counts)
        self._all.merge(later._all)

    @property
    def complete(self) -> bool:
        """Every row has a verdict, there is one, and either all rows give an answer or none does."""
        return self.judged > 0 and not self.refused and self.unanswered in (0, self.judged)

    def by_op(self) -> tuple[OpSummary, ...]:
        """One row per op in rising order, then one for all."""
        return (*(counts.summary(op) for op, counts in sorted(self._ops.items())), self._all.summary(None))

    def by_error(self) -> dict[Error, Interval]:
        """The share of each kind of first error among all solutions, commonest first."""
        counts = {error: self.errors[error] for error in Error if self.errors[error]}
        return {error: share(count, self.judged) for error, count in sorted(counts.items(), key=lambda item: -item[1])}

    def lines(self, hints: Sequence[str] = ()) -> list[str]:
        """The table that ``igsm verify`` prints: by op, by kind of first error, what was spelled otherwise, and the rows that could not be judged.

        Args:
            hints: sentences about what most failures have in common.
        """
        columns: tuple[tuple[str, int, Callable[[OpSummary], str]], ...] = (
            ("op", 4, lambda row: "all" if row.op is None else str(row.op)),
            ("n", 8, lambda row: f"{row.correct.n:,}"),
            ("fully correct", 28, lambda row: row.correct.shown(4)),
            ("right answer", 28, lambda row: row.answered.shown(4)),
            ("redundant of correct", 28, lambda row: row.redundant.shown(4)),
            ("parameters", 11, lambda row: f"{row.parameters:.3f}"),
            ("operations", 11, lambda row: f"{row.operations:.3f}"),
        )
        lines = ["".join(title.rjust(width) for title, width, _ in columns)]
        lines += ["".join(cell(row).rjust(width) for _, width, cell in columns) for row in self.by_op()]
        lines += ["", "first error".ljust(20) + "n".rjust(8) + "of all".rjust(28)]
        lines += [f"{error.value:<20}{one.hits:>8,}{one.shown(4):>28}" for error, one in self.by_error().items()]
        notes = [f"{_rows(count)} had {kind}" for kind, count in self.spellings.most_common()]
        if self.unanswered:
            notes.append(f"{_rows(self.unanswered)} gave no answer of their own: the last number of the solution counts")
        notes += [f"hint: {hint}" for hint in hints]
        lines += ["", *notes] if notes else []
        lines += ["", f"{self.judged:,} judged, {self.refused:,} that could not be{':' if self.refused else ''}"]
        if not self.judged and not self.refused:
            lines.append("there is no row to judge: the file is empty, or has a heading only")
        return lines + self._refusals()

    def _refusals(self) -> list[str]:
        """The first rows of each reason, and how many more there are."""
        named = sorted((one for rows in self.named.values() for one in rows), key=lambda one: one.number)
        lines = [f"row {one.number}: {one.reason}" for one in named]
        for reason, count in self.reasons.most_common():
            more = count - len(self.named[reason])
            if more:
                lines.append(f"and {_rows(more)} more: {reason[0]} {reason[1]}")
        return lines

    def document(self, hints: Sequence[str] = ()) -> dict[str, Any]:
        """The same values as a JSON document."""
        return {
            "judged": self.judged,
            "refused": self.refused,
            "unanswered": self.unanswered,
            "by_op": [row._asdict() | {name: _counts(getattr(row, name)) for name in ("correct", "answered", "redundant")} for row in self.by_op()],
            "errors": {error.value: _counts(one) for error, one in self.by_error().items()},
            "normalised": {kind.value: count for kind, count in self.spellings.most_common()},
            "reasons": [{"field": name, "rule": rule, "rows": count} for (name, rule), count in self.reasons.most_common()],
            "hints": list(hints),
        }


def _counts(one: Interval) -> dict[str, float]:
    """A share as JSON values."""
    return {"hits": one.hits, "n": one.n, "low": one.low, "high": one.high}


def tally_of(rows: Iterable[Judged | Refused]) -> Tally:
    """Count some rows; ``.lines()`` of the result is the table that ``igsm verify`` prints."""
    tally = Tally()
    for one in rows:
        tally.add(one)
    return tally


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
