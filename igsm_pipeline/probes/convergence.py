"""Has a probe converged? Its score on problems that no step sees, as it trains, and what the rest of the training still gained.

Ours: the paper gives every probe 100,000 steps. A shorter one that still gains at its end was too short. One that does not may have been too short,
too, since the rate falls to nothing at the end: only more steps tell.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from igsm_pipeline.activations.batches import split_into_passes
from igsm_pipeline.intervals.bootstrap import balanced_accuracy_of, balanced_gain_of, class_statistics, interval
from igsm_pipeline.probes.stage import CURVE
from igsm_pipeline.queries.sequences import QueryTokens

POINTS = 12
"""Scores of one training, evenly spaced; the ninth is at three quarters, the last at the end."""
MAX_TOKENS = 16384


def curve_steps(num_steps: int) -> list[int]:
    """After how many steps a probe is scored: up to ``POINTS`` of them, rising, the last at the end."""
    return sorted({-(-num_steps * point // POINTS) for point in range(1, POINTS + 1)})


def held_out_passes(tokens: QueryTokens, problems: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The queries of the problems that are held out, cut into passes of a bounded size."""
    return list(split_into_passes(tokens, problems, MAX_TOKENS)) if len(problems) else []


def curve_table(label: NDArray[np.int64], problem: NDArray[np.int64], answers: dict[int, NDArray[np.int16]], *, num_classes: int) -> pa.Table:
    """A row of ``probe_curves`` per scored step.

    Args:
        label, problem: of every held-out query, (num_queries,).
        answers: steps behind the probe -> its answers, (num_queries,).
        num_classes: of the task.
    """
    if not answers:
        return CURVE.schema().empty_table()
    problems, index = np.unique(problem, return_inverse=True)
    where = {"num_problems": len(problems), "num_classes": num_classes}
    statistics = {step: class_statistics(label, said.astype(np.int64), index, **where) for step, said in answers.items()}
    end = statistics[max(statistics)]
    rows = []
    for step, own in sorted(statistics.items()):
        score = interval(own, balanced_accuracy_of)
        left = interval(np.concatenate([end, own], axis=1), balanced_gain_of, scale=(-1.0, 1.0))
        rows.append({"step": step, "n": len(label), "num_problems": len(problems), **score.columns("balanced_accuracy"), **left.columns("gain_left")})
    return pa.Table.from_pylist(rows, schema=CURVE.schema())


class Curve:
    """Answers to the held-out queries so far.

    Args:
        tokens: the training queries.
        held: problems that are held out (indices into ``tokens.problems``).
        num_steps: of the training.

    Attributes:
        rows: queries that are asked, (num_queries,).
        answers: steps behind the probe -> its answers.
    """

    def __init__(self, tokens: QueryTokens, held: NDArray[np.int64], num_steps: int) -> None:
        self.passes = held_out_passes(tokens, held)
        self.rows = np.concatenate([np.empty(0, np.int64), *self.passes])
        self.steps = curve_steps(num_steps) if self.passes else []
        self.answers: dict[int, NDArray[np.int16]] = {}

    def next_after(self, done: int, last: int) -> int:
        """Where a training that has done some steps pauses next: at the next score, or at ``last``."""
        return min([last, *(step for step in self.steps if step > done)])

    def tensor(self) -> torch.Tensor:
        """The answers with their steps in front, int32, (num_scores, 1 + num_queries): what a saved state keeps."""
        rows = [np.concatenate([[step], said]) for step, said in sorted(self.answers.items())]
        return torch.from_numpy(np.array(rows, dtype=np.int32).reshape(len(rows), 1 + len(self.rows)))

    def restore(self, kept: torch.Tensor) -> None:
        """Take over what ``tensor`` gave."""
        self.answers = {int(row[0]): row[1:].astype(np.int16) for row in kept.numpy()}
