"""Bootstrap intervals that resample problems, because queries of one problem are not independent.

Every score here is a function of sums over problems, so one resample costs one row of a matrix product:
``sums = weights @ statistics``, where ``weights[b, p]`` is how many times resample b has problem p.

Ours: percentile intervals at 95% from 1,000 resamples. At the end of a scale (0 or 1) all resamples agree and percentiles would have no width;
there the interval is Wilson's, with the problems as trials.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.intervals.interval import UNDEFINED, Interval
from igsm_pipeline.intervals.share import wilson_interval
from igsm_pipeline.seeding import generator

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NUM_RESAMPLES = 1000
_BLOCK_ELEMENTS = 1 << 22


@lru_cache(maxsize=4)
def _weights(num_problems: int, rows: int, seed: int, block: int) -> NDArray[np.float32]:
    drawn = generator(seed, "probes bootstrap", block).integers(num_problems, size=(rows, num_problems), dtype=np.int64)
    drawn += np.arange(rows)[:, None] * num_problems
    return np.bincount(drawn.ravel(), minlength=rows * num_problems).reshape(rows, num_problems).astype(np.float32)


def resample_sums(statistics: NDArray[np.floating], *, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> Floats:
    """Sum per-problem statistics over bootstrap resamples of the problems.

    The resamples depend on the number of problems and the seed alone, so two calls for the same problems are paired.

    Args:
        statistics: shape (num_problems, num_statistics).

    Returns:
        Shape (num_resamples, num_statistics).
    """
    num_problems = len(statistics)
    rows = max(1, min(num_resamples, _BLOCK_ELEMENTS // max(1, num_problems)))
    narrow = statistics.astype(np.float32)
    parts = [
        _weights(num_problems, min(rows, num_resamples - start), seed, block) @ narrow for block, start in enumerate(range(0, num_resamples, rows))
    ]
    return np.concatenate(parts).astype(np.float64)


def interval(
    statistics: NDArray[np.floating],
    score: Callable[[Floats], Floats],
    *,
    exact: float | None = None,
    scale: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    resampled: Floats | None = None,
    num_problems: int | None = None,
) -> Interval:
    """Compute a score of summed statistics with its percentile bootstrap interval.

    Args:
        statistics: per problem, shape (num_problems, num_statistics).
        score: sums (any, num_statistics) -> scores (any,); nan where undefined.
        exact: the score itself, if ``score`` of the plain sums only approximates it.
        scale: the ends of the score's scale.
        seed: seed of the bootstrap.
        num_resamples: number of resamples.
        resampled: sums from ``resample_sums`` of the same statistics, if several scores share them.
        num_problems: how many problems are behind the score, where fewer than those with any statistic that is not 0.
    """
    num_problems = int(statistics.any(axis=1).sum()) if num_problems is None else num_problems
    if num_problems == 0:
        return UNDEFINED
    value = float(score(statistics.sum(0, dtype=np.float64)[None])[0]) if exact is None else exact
    if math.isnan(value):
        return UNDEFINED
    if num_problems == 1:
        return Interval(value, math.nan, math.nan, 1)
    bottom, top = scale
    if value in (bottom, top):
        low, high = wilson_interval((value == top) * num_problems, num_problems)
        return Interval(value, bottom + low * (top - bottom), bottom + high * (top - bottom), num_problems)
    sums = resample_sums(statistics, seed=seed, num_resamples=num_resamples) if resampled is None else resampled
    low, high = np.nanpercentile(score(sums), [2.5, 97.5])
    return Interval(value, float(np.clip(low, bottom, top)), float(np.clip(high, bottom, top)), num_problems)


def mean_of(sums: Floats) -> Floats:
    """Mean from columns (sum, count)."""
    return _ratio(sums[:, 0], sums[:, 1])


def sum_by_problem(values: NDArray[np.generic], problem: Ints, num_problems: int) -> Floats:
    """Sum one value per query by problem, shape (num_problems,)."""
    return np.asarray(np.bincount(problem, weights=values.astype(np.float64), minlength=num_problems), dtype=np.float64)


def class_statistics(label: Ints, prediction: Ints, problem: Ints, *, num_problems: int, num_classes: int) -> Floats:
    """The sums per problem that accuracy, balanced accuracy and MCC are computed from.

    Args:
        label, prediction: classes 0..num_classes-1, shape (num_queries,).
        problem: problem index 0..num_problems-1 of each query.

    Returns:
        Shape (num_problems, 3 * num_classes): queries per true class, hits per class, queries per predicted class.
    """

    def count(classes: Ints, problems: Ints) -> Ints:
        return np.bincount(problems * num_classes + classes, minlength=num_problems * num_classes).reshape(num_problems, num_classes)

    hit = label == prediction
    return np.concatenate([count(label, problem), count(label[hit], problem[hit]), count(prediction, problem)], axis=1).astype(np.float64)


def _ratio(above: Floats, below: Floats) -> Floats:
    empty: Floats = np.full(np.broadcast(above, below).shape, np.nan)
    return np.asarray(np.divide(above, below, out=empty, where=below > 0), dtype=np.float64)


def _thirds(sums: Floats) -> tuple[Floats, Floats, Floats]:
    true, hit, predicted = np.split(sums, 3, axis=1)
    return true, hit, predicted


def accuracy_of(sums: Floats) -> Floats:
    """Accuracy from summed class statistics, shape (len(sums),)."""
    true, hit, _ = _thirds(sums)
    return _ratio(hit.sum(1), true.sum(1))


def accuracy_within(classes: slice) -> Callable[[Floats], Floats]:
    """The function from summed class statistics to the accuracy on queries whose true class is one of ``classes``."""

    def within(sums: Floats) -> Floats:
        true, hit, _ = _thirds(sums)
        return _ratio(hit[:, classes].sum(1), true[:, classes].sum(1))

    return within


def balanced_accuracy_of(sums: Floats) -> Floats:
    """Mean recall over the classes that occur, from summed class statistics."""
    true, hit, _ = _thirds(sums)
    return _ratio(np.nan_to_num(_ratio(hit, true)).sum(1), (true > 0).sum(1).astype(np.float64))


def balanced_gain_of(sums: Floats) -> Floats:
    """Balanced accuracy of one set of answers less that of another on the same queries, from the summed class statistics of both, side by side."""
    middle = sums.shape[1] // 2
    return balanced_accuracy_of(sums[:, :middle]) - balanced_accuracy_of(sums[:, middle:])


def mcc_of(sums: Floats) -> Floats:
    """Matthews' correlation (multi-class form; 0 if truth or prediction is constant) from summed class statistics."""
    true, hit, predicted = _thirds(sums)
    total = true.sum(1)
    covariance = hit.sum(1) * total - (true * predicted).sum(1)
    spread = (total**2 - (predicted**2).sum(1)) * (total**2 - (true**2).sum(1))
    correlation = np.divide(covariance, np.sqrt(spread), out=np.zeros_like(total), where=spread > 0)
    return np.asarray(np.where(total > 0, correlation, np.nan), dtype=np.float64)


def _mean_ranks(scores: NDArray[np.floating]) -> Floats:
    """Ranks from 1; equal scores share their mean rank."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=np.float64)


def auroc(label: Ints, score: NDArray[np.floating]) -> float:
    """Area under the ROC curve of scores for labels 0 and 1; ties count half. It is nan if a class is absent."""
    positive = label == 1
    num_positive, num_negative = int(positive.sum()), int((~positive).sum())
    if num_positive == 0 or num_negative == 0:
        return math.nan
    return float((_mean_ranks(score)[positive].sum() - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative))


def auroc_interval(
    label: Ints,
    score: NDArray[np.floating],
    problem: Ints,
    *,
    num_problems: int,
    fold: Ints | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Interval:
    """AUROC with an interval by problem; within folds, if ``fold`` is given (``auroc_statistics``).

    Ours: the resampled AUROC is taken to first order (DeLong's placements: for each positive the share of negatives below it, for each
    negative the share of positives above it), which needs four sums per problem instead of a sort per resample.
    """
    exact, statistics = auroc_statistics(label, score, problem, num_problems=num_problems, fold=fold)
    if math.isnan(exact):
        return UNDEFINED
    return interval(statistics, auroc_of(exact), exact=exact, seed=seed, num_resamples=num_resamples)


def auroc_statistics(label: Ints, score: NDArray[np.floating], problem: Ints, *, num_problems: int, fold: Ints | None = None) -> tuple[float, Floats]:
    """AUROC, and the sums per problem for ``auroc_of``, (num_problems, 4): placements and weights of positives, then of negatives.

    Args:
        label: 1 for positives, (num_rows,).
        score: higher for what is held to be positive.
        problem: problem of each row.
        num_problems: rows of the sums.
        fold: cross-validation fold of each row, if the scores of different folds come from different fits. Then only pairs within a fold are
            compared. Ours: a fold with many positives was fitted on few, so all its scores are low, and pairs across folds rank against the truth.
    """
    positive = label == 1
    folds = np.zeros(len(label), np.int64) if fold is None else fold
    every = [folds == one for one in np.unique(folds)]
    parts = [part for part in every if 0 < positive[part].sum() < part.sum()]
    pairs = np.array([positive[part].sum() * (part & ~positive).sum() for part in parts], np.float64)
    if not parts:
        return math.nan, np.zeros((num_problems, 4))
    exact = float(np.dot([auroc(label[part], score[part]) for part in parts], pairs / pairs.sum()))
    placement, weight = np.zeros(len(label)), np.zeros(len(label))
    for part in parts:
        above, below = part & positive, part & ~positive
        ranks = np.zeros(len(label))
        ranks[part] = _mean_ranks(score[part])
        placement[above] = (ranks[above] - _mean_ranks(score[above])) / below.sum()
        placement[below] = 1 - (ranks[below] - _mean_ranks(score[below])) / above.sum()
        weight[above], weight[below] = below.sum() / (~positive).sum(), above.sum() / positive.sum()
    columns = (placement * weight * positive, weight * positive, placement * weight * ~positive, weight * ~positive)
    return exact, np.stack([sum_by_problem(values, problem, num_problems) for values in columns], axis=1)


def auroc_of(exact: float) -> Callable[[Floats], Floats]:
    """The function from summed ``auroc_statistics`` to AUROC, exact to first order, given the exact AUROC of the whole."""

    def first_order(sums: Floats) -> Floats:
        return _ratio(sums[:, 0], sums[:, 1]) + _ratio(sums[:, 2], sums[:, 3]) - exact

    return first_order


def calibration_error(event: NDArray[np.generic], probability: NDArray[np.floating], *, num_bins: int = 15) -> float:
    """Expected calibration error over bins of equal width: mean |share of events - mean probability|, weighted by bin size; nan without data."""
    if len(event) == 0:
        return math.nan
    bins = np.clip((probability * num_bins).astype(np.int64), 0, num_bins - 1)
    gaps = np.bincount(bins, weights=event.astype(np.float64) - probability, minlength=num_bins)
    return float(np.abs(gaps).sum() / len(event))
