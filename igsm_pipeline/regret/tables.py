"""The rows of the stage's tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.intervals.bootstrap import accuracy_of, balanced_accuracy_of, class_statistics, interval, mean_of, sum_by_problem
from igsm_pipeline.intervals.share import share
from igsm_pipeline.regret.written import Asked

Ints = NDArray[np.int64]
ONE_EACH = ("mistake", "slip")
"""Subsets with at most one query per problem: their shares are of independent trials."""


def regret_rows(asked: Asked, said: NDArray[np.integer], *, seed: int = 0, num_resamples: int = 1000) -> Iterator[dict[str, Any]]:
    """The rows of the table ``regret`` for one slice, without its name; a subset without queries has none.

    Args:
        asked: the queries.
        said: what the probe says of each, 1: it can be computed next; (num_queries,).
        seed, num_resamples: of the bootstrap over problems.
    """
    label, problem = asked.queries["label"].to_numpy().astype(np.int64), asked.queries["problem"].to_numpy().astype(np.int64)
    how: dict[str, Any] = {"seed": seed, "num_resamples": num_resamples}
    for subset, mask in asked.subsets.items():
        if not mask.any():
            continue
        problems, index = np.unique(problem[mask], return_inverse=True)
        truth, answer = label[mask], said[mask].astype(np.int64)
        statistics = class_statistics(truth, answer, index, num_problems=len(problems), num_classes=2)
        cannot = answer == 0
        sums = np.stack([sum_by_problem(one, index, len(problems)) for one in (cannot, np.ones(len(index)))], axis=1)
        told = share(int(cannot.sum()), len(cannot)) if subset in ONE_EACH else interval(sums, mean_of, **how)
        yield {
            "subset": subset, "n": len(truth), "num_problems": len(problems), "computable": int(truth.sum()),
            **told.columns("cannot"), **interval(statistics, accuracy_of, **how).columns("accuracy"),
            **interval(statistics, balanced_accuracy_of, **how).columns("balanced_accuracy"),
        }  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """What one decoder did with the problems of a slice; all of shape (num_problems,).

    Attributes:
        decoder: a name of ``stage.DECODERS``.
        tries: most retries of a solution.
        correct: whether each solution is fully correct.
        error: its first error; None if correct.
        retries, asked, read: see ``decoder.Retried``.
    """

    decoder: str
    tries: int
    correct: NDArray[np.bool_]
    error: Sequence[str | None]
    retries: Ints
    asked: Ints
    read: Ints

    def renewed(self, rows: Ints, fresh: Arm) -> Arm:
        """This arm with some problems as another arm has them, under the other's name and tries."""
        merged: dict[str, Any] = {name: getattr(self, name).copy() for name in ("correct", "retries", "asked", "read")}
        for name, values in merged.items():
            values[rows] = getattr(fresh, name)
        errors = list(self.error)
        for row, error in zip(rows.tolist(), fresh.error, strict=True):
            errors[row] = error
        return Arm(fresh.decoder, fresh.tries, error=errors, **merged)

    def solutions(self) -> Iterator[dict[str, Any]]:
        """The rows of the table ``retried_solutions``, without the slice."""
        columns = (self.correct.tolist(), self.error, self.retries.tolist(), self.asked.tolist(), self.read.tolist())
        for problem, (correct, error, retries, asked, read) in enumerate(zip(*columns, strict=True)):
            yield {
                "problem": problem, "decoder": self.decoder, "tries": self.tries, "correct": correct, "error": error, "retries": retries,
                "asked": asked, "tokens_read": read,
            }  # fmt: skip


def arm_rows(arms: Sequence[Arm], *, seed: int = 0, num_resamples: int = 1000) -> Iterator[dict[str, Any]]:
    """The rows of the table ``retry_upon_regret`` for one slice, without its name. Differences are to the first arm, on the same problems."""
    first = arms[0].correct.astype(np.float64)
    for arm in arms:
        n = len(arm.correct)
        sums = np.stack([arm.correct - first, np.ones(n)], axis=1)
        gain = interval(sums, mean_of, scale=(-1.0, 1.0), seed=seed, num_resamples=num_resamples)
        means = {"retries": arm.retries, "asked": arm.asked, "used_up": (arm.retries >= arm.tries) & (arm.retries > 0), "tokens_read": arm.read}
        yield {
            "decoder": arm.decoder, "tries": arm.tries, "n": n, **share(int(arm.correct.sum()), n).columns("correct"),
            **gain.columns("gain"), **{name: float(values.mean()) for name, values in means.items()},
        }  # fmt: skip
