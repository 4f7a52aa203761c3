"""The numbers of figure 8: how often a probe shares the model's mistake, and how often it errs in the same way elsewhere.

Ours: the matched comparison. Most other parameters are easy to call false, such as those that are computed already. So each event is compared
with other false parameters of the same solutions that are not computed yet, have as many missing sources, and are as necessary or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from igsm_pipeline.correlation.stage import CORRELATION
from igsm_pipeline.intervals.bootstrap import Floats, interval, mean_of, sum_by_problem

CORRELATION_SCHEMA = CORRELATION.schema()


@dataclass(frozen=True)
class Answers:
    """A probe's answers about the solutions of one kind in one slice.

    Attributes:
        figure: "a" or "b".
        task: the task of the queries.
        part: the slice.
        solutions: number of solutions of the kind.
        problem: number of each query's problem; shape (num_queries,), as the next three. Problems of the same statements, as those of reask and of
            the slice whose problems it asks differently, have the same number in every slice.
        event: whether the query is about what the model did wrong.
        label: the true answer.
        prediction: the probe's answer.
        group: what a query is matched by; -1: it is compared with nothing.
    """

    figure: Literal["a", "b"]
    task: str
    part: str
    solutions: int
    problem: NDArray[np.int64]
    event: NDArray[np.bool_]
    label: NDArray[np.int64]
    prediction: NDArray[np.int64]
    group: NDArray[np.int64]

    @classmethod
    def joined(cls, answers: Sequence[Answers], part: str = "all") -> Answers:
        """Join the answers of several slices, for one figure and task; what is in different slices is not matched."""
        group = np.where(np.concatenate([one.group for one in answers]) < 0, -1, _apart([one.group for one in answers]))
        names = ("problem", "event", "label", "prediction")
        problem, event, label, prediction = (np.concatenate([getattr(one, name) for one in answers]) for name in names)
        solutions = sum(one.solutions for one in answers)
        return cls(answers[0].figure, answers[0].task, part, solutions, problem, event, label, prediction, group)


def _apart(numbers: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Numbers of several slices one after the other, those of each slice moved behind the others'."""
    width = 1 + max((int(one.max(initial=0)) for one in numbers), default=0)
    return np.concatenate([one + width * place for place, one in enumerate(numbers)])


def rate_row(answers: Answers, *, seed: int = 0, num_resamples: int = 1000) -> dict[str, Any]:
    """Make one row of ``CORRELATION_SCHEMA``; a rate is null if there is nothing to count."""
    inside = np.isin(answers.problem, np.unique(answers.problem[answers.event]))
    problems, index = np.unique(answers.problem[inside], return_inverse=True)
    event, label, said = answers.event[inside], answers.label[inside] == 1, answers.prediction[inside] == 1
    other = ~event & ~label
    how: dict[str, Any] = {"seed": seed, "num_resamples": num_resamples}
    sums = np.stack([sum_by_problem(values, index, len(problems)) for values in (said & event, event, said & other, other)], axis=1)

    def excess_of(totals: Floats) -> Floats:
        return mean_of(totals[:, :2]) - mean_of(totals[:, 2:])

    rate, baseline = interval(sums[:, :2], mean_of, **how), interval(sums[:, 2:], mean_of, **how)
    compared = min(_behind(sums[:, 1]), _behind(sums[:, 3]))
    excess = interval(sums, excess_of, scale=(-1.0, 1.0), num_problems=compared, **how)
    elsewhere = (said == label)[~event]
    matched = _matched(answers.group[inside], event, other, said, index, len(problems), **how)
    return {
        **{"figure": answers.figure, "task": answers.task, "slice": answers.part, "solutions": answers.solutions},
        **{"n": int(event.sum()), "num_problems": len(problems), **rate.columns("rate", "")},
        **{"baseline_n": int(other.sum()), **baseline.columns("baseline_rate", "baseline"), **excess.columns("excess")},
        **matched,
        "accuracy": float(elsewhere.mean()) if len(elsewhere) else None,
    }


def _matched(
    group: NDArray[np.int64],
    event: NDArray[np.bool_],
    other: NDArray[np.bool_],
    said: NDArray[np.bool_],
    index: NDArray[np.int64],
    num_problems: int,
    **how: Any,
) -> dict[str, Any]:
    """The matched columns: every group of the others weighs as much as it has events."""
    kept = np.intersect1d(group[event & (group >= 0)], group[other & (group >= 0)])
    blocks = [
        sum_by_problem(values & (group == one), index, num_problems) for one in kept.tolist() for values in (said & event, event, said & other, other)
    ]
    sums = np.stack(blocks, axis=1) if blocks else np.zeros((num_problems, 0))

    def rates(totals: Floats) -> tuple[Floats, Floats]:
        hits, events, other_hits, others = (totals[:, place::4] for place in range(4))
        counted = np.where(others > 0, events, 0.0)
        share = np.divide(other_hits, others, out=np.zeros_like(others), where=others > 0)
        return mean_of(np.stack([np.where(others > 0, hits, 0.0).sum(1), counted.sum(1)], 1)), mean_of(
            np.stack([(share * counted).sum(1), counted.sum(1)], 1)
        )

    def difference(totals: Floats) -> Floats:
        return np.subtract(*rates(totals))

    own, elsewhere = (_behind(sums[:, place::4].sum(1)) for place in (1, 3))

    return {
        "matched_n": int((event & np.isin(group, kept)).sum()),
        **interval(sums, lambda totals: rates(totals)[0], num_problems=own, **how).columns("matched_rate", "matched_rate"),
        **interval(sums, lambda totals: rates(totals)[1], num_problems=elsewhere, **how).columns("matched_baseline", "matched_baseline"),
        **interval(sums, difference, scale=(-1.0, 1.0), num_problems=min(own, elsewhere), **how).columns("matched_excess"),
    }


def _behind(counts: Floats) -> int:
    """How many problems are behind a rate, from what each of them has of its denominator."""
    return int((counts > 0).sum())


def rate_table(answers: Sequence[Answers], *, seed: int = 0, num_resamples: int = 1000) -> pa.Table:
    """Make a row per figure, task and slice, and one per figure and task over all slices."""
    groups: dict[tuple[str, str], list[Answers]] = {}
    for one in answers:
        groups.setdefault((one.figure, one.task), []).append(one)
    chosen = [one for group in groups.values() for one in (*group, Answers.joined(group))]
    return pa.Table.from_pylist([rate_row(one, seed=seed, num_resamples=num_resamples) for one in chosen], schema=CORRELATION_SCHEMA)
