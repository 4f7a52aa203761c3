"""Intervals of a score that was measured with several seeds: model seeds, probe seeds of each, and problems that all of them are asked.

A score of one trained model has an interval by problem, which says nothing of another seed. Here seeds are drawn anew, then the probe seeds of each
drawn model, then the problems, one draw of which all share; the score is the mean over models of the mean over their probe seeds.

With three or five seeds such draws spread too little: a sample of M varies by (M - 1) / M of what it came from, and its percentiles are those of a
normal law, not of Student's. So the interval is stretched about the value to the width of a t interval: the variance over models (which holds that of
their probe seeds) plus that over problems, with Satterthwaite's degrees of freedom. With one model its seed is not covered, and the words say so.
Where all seeds and problems agree, at an end of the scale, the interval is Wilson's with the problems as trials.

Source: bootstrap over levels (Davison and Hinkley 1997, sec. 3.8; Saravanan et al., arXiv:2007.07797). Ours: that problems are shared, the stretch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.intervals.bootstrap import NUM_RESAMPLES, Floats, resample_sums
from igsm_pipeline.intervals.interval import UNDEFINED, Interval
from igsm_pipeline.intervals.share import Z95, wilson_interval
from igsm_pipeline.seeding import generator

Statistics = Sequence[Sequence[NDArray[np.floating]]]
"""Sums per problem by model seed and probe seed, each (num_problems, num_statistics), the problems the same in all."""


@dataclass(frozen=True)
class Covered:
    """A mean over seeds with its interval, and what the interval covers.

    Attributes:
        interval: the mean score and its 95% interval; ``n`` counts problems.
        models: model seeds.
        probes: probe seeds of each model, (models,).
        by_problem: share of the interval's variance that comes from the problems; the rest is that of seeds.
        covers: what another repetition may change without leaving the interval, in words.
    """

    interval: Interval
    models: int
    probes: tuple[int, ...]
    by_problem: float
    covers: str


def seeds_interval(
    statistics: Statistics,
    score: Callable[[Floats], Floats],
    *,
    scale: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Covered:
    """The mean of a score over seeds, with an interval over model seeds, probe seeds and problems.

    Args:
        statistics: sums per problem, by model seed and probe seed; where nothing is probed, one "probe seed" each.
        score: sums (any, num_statistics) -> scores (any,).
        scale: the ends of the score's scale.
        seed: seed of the draws.
        num_resamples: number of draws.

    Raises:
        ValueError: there is no seed, or the problems are not as many everywhere.
    """
    probes = tuple(len(model) for model in statistics)
    sizes = {len(one) for model in statistics for one in model}
    if not probes or min(probes) < 1 or len(sizes) != 1:
        raise ValueError(
            f"statistics must be of at least one seed and of the same problems, got {probes} seeds of {sorted(sizes)} problems: align them"
        )
    (problems,), (bottom, top) = sizes, scale
    values = [np.array([float(score(one.sum(0, dtype=np.float64)[None])[0]) for one in model]) for model in statistics]
    covers = _covers(probes, problems)
    if problems == 0 or any(np.isnan(model).any() for model in values):
        return Covered(UNDEFINED, len(probes), probes, math.nan, covers)
    value = float(np.mean([model.mean() for model in values]))
    resampled = [np.stack([score(resample_sums(one, seed=seed, num_resamples=num_resamples)) for one in model]) for model in statistics]
    by_problem = float(np.var(np.mean([model.mean(0) for model in resampled], axis=0), ddof=1)) if problems > 1 else 0.0
    by_seed, freedom = _spread_of_seeds(values)
    variance = by_seed + by_problem
    if variance == 0.0:
        low = high = value
        if value in (bottom, top):
            low, high = (bottom + end * (top - bottom) for end in wilson_interval((value == top) * problems, problems))
        return Covered(Interval(value, low, high, problems), len(probes), probes, math.nan, covers)
    draws = _draw(resampled, seed, num_resamples)
    degrees = variance**2 / (by_seed**2 / max(freedom, 1) + by_problem**2 / max(problems - 1, 1))
    wanted = students_quantile(degrees) * math.sqrt(variance)
    spread = float(np.std(draws, ddof=1))
    stretch = wanted / (Z95 * spread) if spread > 0 else 0.0
    low, high = (value + stretch * float(end - draws.mean()) for end in np.percentile(draws, [2.5, 97.5]))
    ends = (min(value, max(low, bottom)), max(value, min(high, top)))
    return Covered(Interval(value, *ends, problems), len(probes), probes, by_problem / variance, covers)


def _spread_of_seeds(values: Sequence[Floats]) -> tuple[float, int]:
    """Variance of the mean that comes from seeds, and its degrees of freedom: between models if there are several, else between probe seeds."""
    level = np.array([model.mean() for model in values]) if len(values) > 1 else values[0]
    return (float(np.var(level, ddof=1)) / len(level), len(level) - 1) if len(level) > 1 else (0.0, 0)


def _draw(resampled: Sequence[Floats], seed: int, num_resamples: int) -> Floats:
    """Draws of the mean: models, then probe seeds of each drawn one, then problems; ``resampled`` has one score per seed and draw of problems."""
    random, counts = generator(seed, "hierarchical bootstrap"), np.array([len(model) for model in resampled])
    scores = np.zeros((len(counts), counts.max(), num_resamples))
    for place, model in enumerate(resampled):
        scores[place, : len(model)] = model
    models = random.integers(len(counts), size=(num_resamples, len(counts)))
    number = counts[models][..., None]
    probes = np.minimum((random.random((*models.shape, counts.max())) * number).astype(np.int64), number - 1)
    drawn = scores[models[..., None], probes, np.arange(num_resamples)[:, None, None]]
    means: Floats = ((drawn * (np.arange(counts.max()) < number)).sum(2) / number[..., 0]).mean(1)
    return means


def _covers(probes: Sequence[int], problems: int) -> str:
    """What varies in the interval, and what does not."""
    each = str(probes[0]) if len(set(probes)) == 1 else f"{min(probes)} to {max(probes)}"
    seeds = f"{len(probes)} model seeds" if len(probes) > 1 else "one model"
    asked = f"{each} probe seed{'s' * (each != '1')} each, " if max(probes) > 1 else ""
    alone = "" if len(probes) > 1 else "; not what another model seed would change" if max(probes) > 1 else "; not what another seed would change"
    return f"{seeds}, {asked}{problems:,} problems{alone}"


def mean_over_seeds(values: Sequence[float] | Floats) -> Interval:
    """The mean of one number per seed, with Student's interval over seeds; ``n`` counts seeds.

    Args:
        values: one number per seed; with fewer than two there is no interval.
    """
    own = np.asarray(values, np.float64)
    if not len(own):
        return UNDEFINED
    if len(own) == 1:
        return Interval(float(own[0]), math.nan, math.nan, 1)
    half = students_quantile(len(own) - 1) * float(np.std(own, ddof=1)) / math.sqrt(len(own))
    return Interval(float(own.mean()), float(own.mean()) - half, float(own.mean()) + half, len(own))


def students_quantile(degrees: float) -> float:
    """The 97.5% quantile of Student's t, for degrees of freedom from 1."""
    from scipy.stats import t  # noqa: PLC0415  (a second to load)

    return float(t.ppf(0.975, degrees))
