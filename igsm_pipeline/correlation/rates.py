"""The numbers of figure 8: how often a probe shares the model's mistake, and how often it errs in the same way elsewhere."""

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
        problem: problem of each query; shape (num_queries,), as the next three.
        event: whether the query is about what the model did wrong.
        label: the true answer.
        prediction: the probe's answer.
    """

    figure: Literal["a", "b"]
    task: str
    part: str
    solutions: int
    problem: NDArray[np.int64]
    event: NDArray[np.bool_]
    label: NDArray[np.int64]
    prediction: NDArray[np.int64]

    @classmethod
    def joined(cls, answers: Sequence[Answers], part: str = "all") -> Answers:
        """Join the answers of several slices, for one figure and task; problems of different slices stay different."""
        width = 1 + max((int(one.problem.max(initial=0)) for one in answers), default=0)
        problem = np.concatenate([one.problem + width * number for number, one in enumerate(answers)])
        arrays = [np.concatenate([getattr(one, name) for one in answers]) for name in ("event", "label", "prediction")]
        return cls(answers[0].figure, answers[0].task, part, sum(one.solutions for one in answers), problem, *arrays)


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
    excess = interval(sums, excess_of, scale=(-1.0, 1.0), **how)
    elsewhere = (said == label)[~event]
    return {
        **{"figure": answers.figure, "task": answers.task, "slice": answers.part, "solutions": answers.solutions},
        **{"n": int(event.sum()), "num_problems": len(problems), **rate.columns("rate", "")},
        **{"baseline_n": int(other.sum()), **baseline.columns("baseline_rate", "baseline"), **excess.columns("excess")},
        "accuracy": float(elsewhere.mean()) if len(elsewhere) else None,
    }


def rate_table(answers: Sequence[Answers], *, seed: int = 0, num_resamples: int = 1000) -> pa.Table:
    """Make a row per figure, task and slice, and one per figure and task over all slices."""
    groups: dict[tuple[str, str], list[Answers]] = {}
    for one in answers:
        groups.setdefault((one.figure, one.task), []).append(one)
    chosen = [one for group in groups.values() for one in (*group, Answers.joined(group))]
    return pa.Table.from_pylist([rate_row(one, seed=seed, num_resamples=num_resamples) for one in chosen], schema=CORRELATION_SCHEMA)
