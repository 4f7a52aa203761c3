"""Claims about linear probes, against scikit-learn's logistic regression."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression

from igsm_pipeline.errors import BadInput
from igsm_pipeline.probes.linear import LinearProbe, fit_probe


def _states(seed, num_classes, num_states=800, d_model=12):
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(num_states, d_model)) * rng.uniform(0.1, 20, d_model) + rng.normal(size=d_model) * 5
    logits = ((states - states.mean(0)) / states.std(0)) @ rng.normal(size=(d_model, num_classes)) + rng.gumbel(size=(num_states, num_classes)) * 2
    return states.astype(np.float32), logits.argmax(1)


@pytest.mark.parametrize("num_classes", [2, 6])
@pytest.mark.parametrize("l2", [1e-3, 1e-1])
def test_probabilities_agree_with_scikit_learn(num_classes, l2):
    states, labels = _states(num_classes, num_classes)
    probe = fit_probe(torch.from_numpy(states), torch.from_numpy(labels), num_classes, l2=l2)
    standard = (states - states.mean(0)) / states.std(0)
    reference = LogisticRegression(C=1 / (len(states) * l2), tol=1e-8, max_iter=5000).fit(standard, labels).predict_proba(standard)
    prediction, score = probe.predict(torch.from_numpy(states))
    if num_classes == 2:
        np.testing.assert_allclose(score, reference[:, 1], atol=2e-3)
        assert (prediction == (score > 0.5)).all()
    else:
        np.testing.assert_allclose(score, reference[np.arange(len(states)), prediction], atol=2e-3)
        clear = np.diff(np.sort(reference, 1)[:, -2:], axis=1)[:, 0] > 0.01
        assert (prediction == reference.argmax(1))[clear].all()


def test_the_same_states_give_the_same_probe_to_the_bit():
    states, labels = _states(7, 4)
    first, second = (fit_probe(torch.from_numpy(states), torch.from_numpy(labels), 4) for _ in range(2))
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)


def test_a_probe_does_not_care_about_the_scale_of_its_features():
    states, labels = _states(8, 2)
    scaled = states * np.float32(1000) + np.float32(3)
    first, second = (fit_probe(torch.from_numpy(x), torch.from_numpy(labels), 2).predict(torch.from_numpy(x))[1] for x in (states, scaled))
    np.testing.assert_allclose(first, second, atol=5e-3)


def test_constant_features_and_a_single_class_are_survived():
    states = np.ones((50, 3), dtype=np.float32)
    states[:, 0] = np.arange(50)
    probe = fit_probe(torch.from_numpy(states), torch.ones(50, dtype=torch.int64), 2)
    prediction, score = probe.predict(torch.from_numpy(states))
    assert (prediction == 1).all()
    assert np.isfinite(score).all()


def test_nothing_to_fit_is_refused():
    with pytest.raises(BadInput, match="must not be empty"):
        fit_probe(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), 2)


def test_a_probe_survives_a_safetensors_file(tmp_path):
    states, labels = _states(9, 3)
    probe = fit_probe(torch.from_numpy(states), torch.from_numpy(labels), 3)
    save_file(probe.tensors("linear.layer_2"), tmp_path / "probes.safetensors")
    loaded = LinearProbe.from_tensors(load_file(tmp_path / "probes.safetensors"), "linear.layer_2")
    for kept, expected in zip(loaded.predict(torch.from_numpy(states)), probe.predict(torch.from_numpy(states)), strict=True):
        np.testing.assert_array_equal(kept, expected)
