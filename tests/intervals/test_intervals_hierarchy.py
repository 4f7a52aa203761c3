"""Intervals over seeds cover the truth as often as they say, where intervals by problem do not; and what they cover is told."""

from __future__ import annotations

import math

import numpy as np
import pytest

from igsm_pipeline.intervals.bootstrap import accuracy_of, class_statistics, interval, mean_of
from igsm_pipeline.intervals.hierarchy import seeds_interval, students_quantile
from igsm_pipeline.intervals.share import wilson_interval

TRUTH = 0.3
WORLDS = 300


def drawn(random: np.random.Generator, models: int, probes: int, problems: int, spread: tuple[float, float, float, float]) -> list[list[np.ndarray]]:
    """Nested normal data: a model's own shift, a probe's own, a problem's, which all share, and noise; as (sum, count) per problem."""
    by_model, by_probe, by_problem, noise = spread
    shared = random.normal(0, by_problem, problems)
    made = []
    for shift in random.normal(TRUTH, by_model, models):
        values = [shift + one + shared + random.normal(0, noise, problems) for one in random.normal(0, by_probe, probes)]
        made.append([np.stack([value, np.ones(problems)], axis=1) for value in values])
    return made


@pytest.mark.parametrize(
    ("models", "probes", "spread"),
    [
        (3, 5, (0.1, 0.1, 1.0, 0.5)),
        (3, 1, (0.2, 0.0, 0.5, 0.5)),
        (5, 2, (0.05, 0.2, 0.3, 0.3)),
        (8, 3, (0.1, 0.02, 0.1, 0.1)),
    ],
)
def test_it_covers_the_truth_of_nested_normal_data_in_about_95_of_100(models: int, probes: int, spread: tuple[float, float, float, float]) -> None:
    print(f"seed {models}{probes}")
    random = np.random.default_rng(10 * models + probes)
    hits, by_problem_hits = 0, 0
    for world in range(WORLDS):
        data = drawn(random, models, probes, 60, spread)
        found = seeds_interval(data, mean_of, scale=(-math.inf, math.inf), seed=world, num_resamples=200).interval
        hits += found.low <= TRUTH <= found.high
        alone = interval(
            np.mean([one for model in data for one in model], axis=0), mean_of, scale=(-math.inf, math.inf), seed=world, num_resamples=200
        )
        by_problem_hits += alone.low <= TRUTH <= alone.high
        assert found.value == pytest.approx(alone.value, abs=1e-6)
    assert 0.91 <= hits / WORLDS <= 0.99, f"{hits} of {WORLDS}"
    assert by_problem_hits < hits - 0.02 * WORLDS, "problems alone do not cover what seeds change"


def test_one_model_has_the_interval_of_its_problems_and_the_words_say_what_is_missing() -> None:
    print("seed 3")
    random = np.random.default_rng(3)
    label, problem = random.integers(0, 2, 3000), np.repeat(np.arange(300), 10)
    said = np.where(random.random(3000) < 0.8, label, 1 - label)
    sums = class_statistics(label, said, problem, num_problems=300, num_classes=2)
    found, alone = seeds_interval([[sums]], accuracy_of), interval(sums, accuracy_of)
    assert found.interval[:1] == alone[:1]
    assert found.interval[1:3] == pytest.approx(alone[1:3], abs=2e-3)
    assert found.by_problem == 1.0
    assert found.covers == "one model, 300 problems; not what another seed would change"
    two = seeds_interval([[sums, sums]], accuracy_of)
    assert two.covers == "one model, 2 probe seeds each, 300 problems; not what another model seed would change"
    assert seeds_interval([[sums], [sums, sums]], accuracy_of).covers == "2 model seeds, 1 to 2 probe seeds each, 300 problems"


def test_it_says_how_much_of_its_width_comes_from_problems() -> None:
    print("seed 4")
    random = np.random.default_rng(4)
    seeds = seeds_interval(drawn(random, 4, 2, 100, (1.0, 0.1, 0.01, 0.01)), mean_of, scale=(-9.0, 9.0))
    problems = seeds_interval(drawn(random, 4, 2, 100, (0.001, 0.001, 5.0, 0.01)), mean_of, scale=(-9.0, 9.0))
    assert seeds.by_problem < 0.01
    assert problems.by_problem > 0.99


def test_a_score_that_never_varies_and_one_at_the_end_of_its_scale_stay_on_it() -> None:
    ones = np.ones((20, 2))
    assert seeds_interval([[ones], [ones]], mean_of).interval == (1.0, wilson_interval(20, 20)[0], 1.0, 20)
    never = seeds_interval([[ones * [-1, 1]], [ones * [-1, 1]]], mean_of, scale=(-1.0, 1.0)).interval
    assert never == pytest.approx((-1.0, -1.0, 2 * wilson_interval(0, 20)[1] - 1, 20))
    half = np.stack([np.full(20, 0.5), np.ones(20)], axis=1)
    assert seeds_interval([[half], [half]], mean_of).interval == (0.5, 0.5, 0.5, 20)
    most = np.stack([np.r_[np.zeros(1), np.ones(19)], np.ones(20)], axis=1)
    found = seeds_interval([[ones], [most]], mean_of).interval
    assert found.low < found.value < found.high == 1.0


def test_seeds_that_were_asked_other_problems_are_refused() -> None:
    with pytest.raises(ValueError, match="same problems"):
        seeds_interval([[np.ones((20, 2))], [np.ones((21, 2))]], mean_of)
    with pytest.raises(ValueError, match="at least one seed"):
        seeds_interval([], mean_of)


def students_share(value: float, degrees: float) -> float:
    """The share of Student's t below a value: its density, summed over the angle whose tangent is the value by the root of the degrees."""
    angles = np.linspace(0.0, math.atan(value / math.sqrt(degrees)), 2001)
    area = float(np.trapezoid(np.cos(angles) ** (degrees - 1), angles))
    return 0.5 + area * math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi)


@pytest.mark.parametrize("degrees", [1.0, 1.3, 2.0, 2.7, 4.0, 11.0, 60.0, 4000.0])
def test_students_quantile_leaves_a_fortieth_above_it(degrees: float) -> None:
    assert students_share(students_quantile(degrees), degrees) == pytest.approx(0.975, abs=1e-6)
