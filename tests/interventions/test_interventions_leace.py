"""Erasers: afterwards no linear classifier of scikit-learn beats chance, nothing changes more than it must, random ones change as much.

Also where the whitening comes from other states than the concept: then these change little, which the concept's own whitening does not give.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss

from igsm_pipeline.errors import BadInput
from igsm_pipeline.interventions.leace import Whitened, erase_concept, erase_random
from igsm_pipeline.seeding import generator

N, WIDTH = 3000, 12


def data(classes: int, seed: int = 5) -> tuple[torch.Tensor, np.ndarray]:
    """States of very different spreads, correlated, one direction empty, and a class that shifts several of them."""
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    label = random.integers(0, classes, N)
    shifts, mixing = random.normal(size=(classes, WIDTH)), random.normal(size=(WIDTH, WIDTH)) * np.geomspace(0.01, 10, WIDTH)
    states = (random.normal(size=(N, WIDTH)) + 2 * shifts[label]) @ mixing + 7.0
    states[:, 3] = 1.0
    return torch.from_numpy(states), label


def one_hot(label: np.ndarray, classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.from_numpy(label), classes)


@pytest.mark.parametrize("classes", [2, 5])
def test_after_erasure_no_linear_classifier_beats_chance_on_the_training_states(classes: int) -> None:
    states, label = data(classes)
    eraser = erase_concept(Whitened.of(states), states, one_hot(label, classes))
    assert eraser.rank == classes - 1
    shares = np.bincount(label) / N
    for number, kept in enumerate((states, eraser(states))):
        varies = kept.std(0) > 1e-6  # what is left of the empty direction is rounding, which a scale of 1 would blow up
        scaled = ((kept - kept.mean(0)) / kept.std(0))[:, varies].numpy()
        logistic = LogisticRegression(C=1e4, max_iter=5000, tol=1e-8).fit(scaled, label)
        discriminant = LinearDiscriminantAnalysis(priors=shares).fit(scaled, label)
        for model in (logistic, discriminant):
            balanced = balanced_accuracy_score(label, model.predict(scaled))
            if number == 0:
                assert balanced > 1.5 / classes, "there is something to erase"
            else:
                assert balanced == pytest.approx(1 / classes, abs=0.02), type(model).__name__
                entropy = -(shares * np.log(shares)).sum()
                assert log_loss(label, model.predict_proba(scaled)) == pytest.approx(entropy, abs=1e-4), "the best classifier is a constant"


def test_states_keep_their_mean_and_erasing_twice_is_erasing_once() -> None:
    states, label = data(3)
    eraser = erase_concept(Whitened.of(states), states, one_hot(label, 3))
    once = eraser(states)
    assert torch.allclose(once.mean(0), states.mean(0), atol=1e-8)
    assert torch.allclose(eraser(once), once, atol=1e-8)
    assert torch.allclose(once[:, 3], states[:, 3], atol=1e-9), "a direction in which nothing varies"


def test_no_other_projection_that_hides_the_concept_changes_less() -> None:
    states, label = data(2)
    spread = Whitened.of(states)
    mine = erase_concept(spread, states, one_hot(label, 2))(states)
    difference = states[label == 1].mean(0) - states[label == 0].mean(0)
    covariance = (states - states.mean(0)).T @ (states - states.mean(0)) / N
    for metric in (torch.eye(WIDTH, dtype=torch.float64), torch.diag(1 / covariance.diagonal().clamp_min(1e-9))):
        gradient = metric @ difference
        other = states - torch.outer((states - states.mean(0)) @ gradient / (gradient @ difference), difference)
        hidden = other[label == 1].mean(0) - other[label == 0].mean(0)
        assert hidden.norm() < 1e-6 * difference.norm()
        changes = [((one - states) @ spread.there).square().sum(1).mean() for one in (mine, other)]
        assert changes[0] < changes[1]


def test_random_erasers_take_out_as_much_and_leave_the_concept() -> None:
    states, label = data(2)
    spread = Whitened.of(states)
    concept = erase_concept(spread, states, one_hot(label, 2))
    drawn = [erase_random(spread, 1, torch.from_numpy(generator(0, "erasure", draw).standard_normal((WIDTH, 1)))) for draw in range(3)]
    taken = [((one(states) - states) @ spread.there).square().sum(1).mean().item() for one in (concept, *drawn)]
    assert taken == pytest.approx([1.0] * 4, abs=1e-6)
    for one in drawn:
        kept = one(states)
        assert (kept[label == 1].mean(0) - kept[label == 0].mean(0)).norm() > 0.1
    assert not torch.allclose(drawn[0].removes, drawn[1].removes)
    assert erase_random(spread, 40, torch.from_numpy(generator(0, "erasure", 9).standard_normal((WIDTH, 40)))).rank == WIDTH - 1


def test_a_concept_of_one_class_erases_nothing_and_one_state_has_no_spread() -> None:
    states, _ = data(2)
    eraser = erase_concept(Whitened.of(states), states, one_hot(np.zeros(N, np.int64), 2))
    assert eraser.rank == 0
    assert torch.equal(eraser(states), states)
    with pytest.raises(BadInput, match="at least two"):
        Whitened.of(states[:1])


def test_states_that_differ_by_rounding_alone_keep_everything() -> None:
    print("seed 6")
    random = np.random.default_rng(6)
    states = torch.from_numpy((random.normal(size=WIDTH) * (1 + 1e-8 * random.normal(size=(50, 1)))).repeat(1, 1))
    eraser = erase_concept(Whitened.of(states), states, one_hot(np.arange(50) % 2, 2))
    assert eraser.rank == 0
    assert torch.equal(eraser(states), states)


def test_it_acts_in_the_type_of_the_states() -> None:
    states, label = data(2)
    eraser = erase_concept(Whitened.of(states), states, one_hot(label, 2)).float()
    assert eraser(states.float()).dtype == torch.float32
    assert torch.allclose(eraser(states.float()).double(), eraser(states), rtol=1e-3, atol=1e-3)


def places(seed: int = 7) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """States of many places, and of those where a concept is known: there they hardly vary but in what tells it, far from where the others are."""
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    label, mixing = random.integers(0, 2, N), random.normal(size=(WIDTH, WIDTH))
    told = random.normal(size=(N, WIDTH)) * np.geomspace(0.01, 1, WIDTH) + 0.05 * np.outer(label, random.normal(size=WIDTH)) + 3.0
    every = random.normal(size=(4 * N, WIDTH)) * 2
    return torch.from_numpy(np.r_[every, told] @ mixing), torch.from_numpy(told @ mixing), label


def test_a_whitening_of_all_places_leaves_no_covariance_with_the_concept_where_it_is_known() -> None:
    every, states, label = places()
    eraser = erase_concept(Whitened.of(every), states, one_hot(label, 2))
    kept, concept = eraser(states), torch.from_numpy(label - label.mean())
    assert eraser.rank == 1
    before, after = (((one - one.mean(0)).T @ concept / N).norm().item() for one in (states, kept))
    assert before > 0.05
    assert after < 1e-10
    scaled = ((kept - kept.mean(0)) / kept.std(0)).numpy()
    logistic = LogisticRegression(C=1e4, max_iter=5000, tol=1e-8).fit(scaled, label)
    assert balanced_accuracy_score(label, logistic.predict(scaled)) == pytest.approx(0.5, abs=0.02)


def test_erasers_move_the_places_that_they_are_whitened_by_little_and_others_much() -> None:
    every, states, label = places()
    numbers = torch.from_numpy(generator(0, "places", 0).standard_normal((WIDTH, 20)))
    moved = {}
    for name, spread in (("every", Whitened.of(every)), ("told", Whitened.of(states))):
        drawn = [erase_random(spread, 1, numbers[:, draw : draw + 1]) for draw in range(20)]
        erasers = [erase_concept(spread, states, one_hot(label, 2)), *drawn]
        moved[name] = [((one(every) - every).square().sum() / every.square().sum()).sqrt().item() for one in erasers]
        assert [Whitened.of(every).moved_by(one) for one in erasers] == pytest.approx(moved[name], rel=1e-6)
        assert Whitened.of(states).moved_by(drawn[0]) == pytest.approx(
            ((drawn[0](states) - states).square().sum() / states.square().sum()).sqrt().item(), rel=1e-6
        )
    assert max(moved["every"]) < 0.8
    assert np.median(moved["told"]) > 4 * np.median(moved["every"])


def test_a_spread_in_parts_is_the_spread_of_the_whole() -> None:
    states, _ = data(2)
    whole, parts = Whitened.of(states), Whitened.over(iter((states[:5], states[5:2000], states[2000:])))
    for name in ("mean", "there", "back"):
        assert torch.allclose(getattr(whole, name), getattr(parts, name), rtol=1e-6, atol=1e-6), name
    covariance = torch.cov(states.T, correction=0)
    assert torch.allclose(whole.back @ whole.back, covariance, atol=1e-6)
    with pytest.raises(BadInput, match="at least two"):
        Whitened.over([])
