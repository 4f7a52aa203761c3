"""With a uniform prior a probe answers as if all answers were equally common: trees and linear probes against scikit-learn, V-probes step by step."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reference.own_experiment import declare
from reference.trained_by_hand import forty_problems, recipe, train_by_hand
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from igsm_pipeline.activations.forward import freeze
from igsm_pipeline.experiments import find_member
from igsm_pipeline.model.gpt2_rotary import build
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.probes.linear import fit_probe
from igsm_pipeline.probes.prior import bits_of_shares, log_shares
from igsm_pipeline.probes.text_probe import predict_from_text
from igsm_pipeline.probes.v_training import batches_of, train_v_probe
from igsm_pipeline.queries.sequences import QueryTokens

CPU = torch.device("cpu")


def drawn(seed: int, shares: list[float], number: int = 3000, width: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """States around a mean of their class, and classes of these shares."""
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    label = random.choice(len(shares), size=number, p=shares)
    means = np.random.default_rng(99).normal(size=(len(shares), width)) / 2
    return (means[label] + random.normal(size=(number, width))).astype(np.float32), label


def evenly(chances: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Chances over the shares of some answers, one answer of each added; rows sum to 1."""
    counts = Counter(label.tolist())
    total = sum(counts.values()) + chances.shape[1]
    over = chances / np.array([(counts[one] + 1) / total for one in range(chances.shape[1])])
    return over / over.sum(1, keepdims=True)


def balanced(label: np.ndarray, said: np.ndarray) -> float:
    return float(np.mean([(said[label == one] == one).mean() for one in np.unique(label)]))


def answers(kind: str, states: np.ndarray, label: np.ndarray, asked: np.ndarray, prior: Any) -> tuple[np.ndarray, np.ndarray]:
    classes = int(label.max()) + 1
    if kind == "text":
        return predict_from_text(states, label, asked, num_classes=classes, seed=0, prior=prior)
    probe = fit_probe(torch.from_numpy(states), torch.from_numpy(label), classes).without(log_shares(prior, label, classes))
    return probe.predict(torch.from_numpy(asked))


@pytest.mark.parametrize("shares", [[0.9, 0.1], [0.7, 0.2, 0.1]])
@pytest.mark.parametrize("kind", ["text", "linear"])
def test_answers_are_the_likeliest_once_the_shares_are_divided_out(kind: str, shares: list[float]) -> None:
    (states, label), (asked, _) = drawn(1, shares), drawn(2, shares, 500)
    if kind == "text":
        chances = HistGradientBoostingClassifier(random_state=0).fit(states, label).predict_proba(asked)
    else:
        mean, deviation = states.mean(0), states.std(0)
        reference = LogisticRegression(C=1 / (len(states) * 1e-3), tol=1e-8, max_iter=5000).fit((states - mean) / deviation, label)
        chances = reference.predict_proba((asked - mean) / deviation)
    said, score = answers(kind, states, label, asked, "uniform")
    expected = evenly(chances, label)
    np.testing.assert_allclose(score, expected[:, 1] if len(shares) == 2 else expected.max(1), atol=5e-3)
    clear = np.diff(np.sort(expected, 1)[:, -2:], axis=1)[:, 0] > 0.02
    assert (said == expected.argmax(1))[clear].all()


@pytest.mark.parametrize("kind", ["text", "linear"])
def test_a_rare_answer_is_given_where_it_is_due(kind: str) -> None:
    (states, label), (asked, truth) = drawn(3, [0.95, 0.05]), drawn(4, [0.95, 0.05])
    by_shares, evened = (balanced(truth, answers(kind, states, label, asked, prior)[0]) for prior in ("training", "uniform"))
    assert evened > by_shares + 0.1


@pytest.fixture(scope="module")
def training() -> QueryTokens:
    torch.set_num_threads(1)
    return forty_problems()


def test_a_v_probe_learns_with_the_shares_of_what_it_learns_from_beside_its_logits(training: QueryTokens, tmp_path: Path) -> None:
    settings = recipe(prior="uniform")
    model = freeze(build(ModelSettings(layers=2, heads=2, head_width=16), training.table.size, 128, seed=1))
    losses = train_v_probe(settings, model, training, num_classes=2, folder=tmp_path, device=CPU, label="test").losses
    seen = training.label[~np.isin(training.problem, training.problems[-5:])].tolist()
    assert 0 < sum(seen) < len(seen) / 3, "the answers should be uneven"
    yes = (sum(seen) + 1) / (len(seen) + 2)
    beside = torch.tensor([math.log(1 - yes), math.log(yes)])
    batches, _ = batches_of(settings, training)
    read = [training.rows_of(batches.at(step)) for step in range(settings.num_steps)]
    for step, chances in enumerate(train_by_hand(settings, model, training, read, beside)):
        loss = -sum(math.log(float(chances[place, training.label[row]])) for place, row in enumerate(read[step])) / len(read[step])
        assert losses[step] == pytest.approx(loss, rel=1e-4)


def test_shares_are_counted_with_one_more_of_each_and_cost_the_code_their_counts() -> None:
    label = np.array([0, 0, 0, 0, 2])
    np.testing.assert_allclose(np.exp(log_shares("uniform", label, 3)), [5 / 8, 1 / 8, 2 / 8])
    assert not log_shares("training", label, 3).any()
    assert bits_of_shares("uniform", 1023, 6) == pytest.approx(50.0)
    assert bits_of_shares("training", 1023, 6) == 0.0


def test_the_prior_of_an_experiment_is_that_of_all_its_probes_and_changes_no_other_unit(home: Path) -> None:
    def units(prior: str) -> dict[tuple[str, str], Any]:
        declare(home, f"probes: {{prior: {prior}}}\nregret: {{problems: 8}}\n")
        return {(unit.stage, unit.name): unit for unit in units_of(find_member("mine")) if unit.stage != "report"}

    by_shares, evened = units("training"), units("uniform")
    changed = {"v_probes", "linear_probes", "text_probes"}
    for (stage, name), unit in evened.items():
        assert unit.settings.get("prior") == ("uniform" if stage in changed else None), (stage, name)
        assert "prior" not in by_shares[stage, name].settings
    own = {key for key, unit in evened.items() if unit.fingerprint != by_shares[key].fingerprint}
    assert {stage for stage, _ in own} == changed | {"probe_scores", "error_correlation", "steering", "probe_controls"} & {
        stage for stage, _ in evened
    }
    assert evened["regret", "regret"].settings["recipe"] == by_shares["regret", "regret"].settings["recipe"]
