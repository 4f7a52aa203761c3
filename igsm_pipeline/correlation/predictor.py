"""Predicts whether a solution will be wrong, at the end of the question, before the model writes.

Ours: the paper looks at probes where a mistake happens. Here a logistic regression sees only the nece probe's answers about all candidates at the end
of the question. It is scored out of fold, by AUROC within folds, beside predictors that need no probe: the number of operations, the length of the
prompt, and the number of candidates. What the probe adds to these three is a paired gain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from igsm_pipeline.correlation.stage import PREDICTOR
from igsm_pipeline.intervals.bootstrap import Floats, auroc_interval, auroc_of, auroc_statistics, interval, sum_by_problem
from igsm_pipeline.intervals.interval import UNDEFINED, Interval
from igsm_pipeline.probes.linear import fit_probe
from igsm_pipeline.seeding import generator

PREDICTOR_SCHEMA = PREDICTOR.schema()
PROBE_FEATURES = ("most_uncertain", "mean_uncertainty", "num_uncertain", "num_necessary", "expected_necessary")
FEATURE_SETS = {"probes": (0,), "op": (1,), "length": (2,), "op+length": (1, 2), "surface": (1, 2, 3), "surface+probes": (0, 1, 2, 3)}
"""The groups of features (probes, op, length, number of candidates) that each predictor sees."""
SURFACE, BOTH = "surface", "surface+probes"


@dataclass(frozen=True)
class Outlook:
    """What is known about each problem of a slice before its solution, and how the solution turned out. The first axis is the problem.

    Attributes:
        probes: features of the probe's scores, ``PROBE_FEATURES``, shape (num_problems, 5).
        op: operations of the problem.
        length: tokens of the prompt.
        candidates: parameters that can be asked about.
        fold: cross-validation fold.
        problem: number of the problem, as in ``Answers``.
        wrong: the solution is not fully correct.
        redundant: it is correct and has unnecessary parameters.
    """

    probes: NDArray[np.float64]
    op: NDArray[np.float64]
    length: NDArray[np.float64]
    candidates: NDArray[np.float64]
    fold: NDArray[np.int64]
    problem: NDArray[np.int64]
    wrong: NDArray[np.bool_]
    redundant: NDArray[np.bool_]

    @classmethod
    def joined(cls, outlooks: list[Outlook]) -> Outlook:
        """Join several slices into one."""
        return cls(*(np.concatenate([getattr(one, name) for one in outlooks]) for name in cls.__dataclass_fields__))

    def features(self, name: str) -> NDArray[np.float64]:
        """The columns of one of ``FEATURE_SETS``."""
        blocks = (self.probes, self.op[:, None], self.length[:, None], self.candidates[:, None])
        return np.concatenate([blocks[block] for block in FEATURE_SETS[name]], axis=1)


def probe_features(problem: NDArray[np.integer], score: NDArray[np.floating], num_problems: int) -> NDArray[np.float64]:
    """Compute ``PROBE_FEATURES`` of each problem from the probe's scores of its candidates; zeros if it has none.

    Args:
        problem: problem row of each query.
        score: probability that the candidate is necessary.
        num_problems: rows of the result.
    """
    uncertainty = 1 - np.abs(2 * score.astype(np.float64) - 1)

    def total(values: NDArray[np.generic]) -> NDArray[np.float64]:
        return sum_by_problem(values, problem.astype(np.int64), num_problems)

    most = np.zeros(num_problems)
    np.maximum.at(most, problem, uncertainty)
    count = total(np.ones(len(problem)))
    mean = total(uncertainty) / np.maximum(count, 1)
    return np.stack([most, mean, total(uncertainty > 0.2), total(score > 0.5), total(score)], axis=1)


def draw_folds(num_problems: int, num_folds: int, seed: int) -> NDArray[np.int64]:
    """Draw a fold for each problem row, shape (num_problems,); the sizes of folds differ by at most one."""
    return generator(seed, "correlation folds").permutation(num_problems) % num_folds


def predict_out_of_fold(features: NDArray[np.float64], target: NDArray[np.bool_], fold: NDArray[np.int64], *, l2: float) -> NDArray[np.float32]:
    """The probability of the target for each row, (num_rows,), by a logistic regression that was fitted on the other folds."""
    states, score = torch.from_numpy(features.astype(np.float32)), np.zeros(len(target), np.float32)
    labels = torch.from_numpy(target.astype(np.int64))
    for one in np.unique(fold):
        held = torch.from_numpy(fold == one)
        if held.all():
            score[:] = target.mean()
            continue
        score[held.numpy()] = fit_probe(states[~held], labels[~held], 2, l2=l2).predict(states[held])[1]
    return score


def predictor_rows(part: str, outlook: Outlook, *, l2: float, min_events: int, seed: int = 0, num_resamples: int = 1000) -> list[dict[str, Any]]:
    """One row of ``PREDICTOR_SCHEMA`` per target and feature set.

    AUROC compares solutions of one fold, whose scores come from one fit. It is null if fewer than ``min_events`` solutions have, or lack, the
    target, and if the features are the same for all solutions, as op is in the slice op=max. Problems are resampled.
    """
    how: dict[str, Any] = {"seed": seed, "num_resamples": num_resamples}
    rows: list[dict[str, Any]] = []
    for target, chosen in (("wrong", np.ones(len(outlook.wrong), bool)), ("redundant", ~outlook.wrong)):
        kept = Outlook(*(getattr(outlook, name)[chosen] for name in Outlook.__dataclass_fields__))
        truth = getattr(kept, target)
        positives = int(truth.sum())
        label, scores, (problems, problem) = truth.astype(np.int64), {}, np.unique(kept.problem, return_inverse=True)
        where: dict[str, Any] = {"num_problems": len(problems), "fold": kept.fold}
        if min(positives, len(truth) - positives) >= min_events:
            features = {name: kept.features(name) for name in FEATURE_SETS}
            scores = {name: predict_out_of_fold(own, truth, kept.fold, l2=l2) for name, own in features.items() if np.ptp(own, axis=0).any()}
        for name in FEATURE_SETS:
            sizes = {"target": target, "slice": part, "features": name, "n": len(truth), "positives": positives}
            scored = auroc_interval(label, scores[name], problem, **where, **how) if name in scores else UNDEFINED
            gain = UNDEFINED
            if name == BOTH and {BOTH, SURFACE} <= scores.keys():
                gain = _gain(*(auroc_statistics(label, scores[one], problem, **where) for one in (BOTH, SURFACE)), **how)
            rows.append({**sizes, **scored.columns("auroc"), **gain.columns("gain")})
    return rows


def _gain(one: tuple[float, Floats], other: tuple[float, Floats], **how: Any) -> Interval:
    """AUROC of one score less that of another on the same solutions, whose problems are resampled for both at once."""
    (own, first), (others, second) = one, other

    def difference(sums: Floats) -> Floats:
        return auroc_of(own)(sums[:, :4]) - auroc_of(others)(sums[:, 4:])

    return interval(np.concatenate([first, second], axis=1), difference, exact=own - others, scale=(-1.0, 1.0), **how)
