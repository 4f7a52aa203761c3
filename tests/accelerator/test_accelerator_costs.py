"""What plans say of arithmetic and memory is what torch counts."""

from __future__ import annotations

import pytest
import torch

from igsm_pipeline.costs import Network
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.training.counting import formula, kept_numbers, operations
from igsm_pipeline.training.one_graph import WindowLoss

LAYERS, WINDOW, VOCAB = 2, 96, 509


@pytest.fixture(scope="module")
def loss() -> WindowLoss:
    model = gpt2_rotary.build(ModelSettings(layers=LAYERS, heads=4), VOCAB, WINDOW, 3)
    gpt2_rotary.fuse_activations(model)
    return WindowLoss(model)


def test_operations_of_a_training_pass_are_those_of_the_formula(loss: WindowLoss) -> None:
    ids = torch.arange(2 * WINDOW).reshape(2, WINDOW) % VOCAB
    network = Network(LAYERS, 256, loss.model.num_parameters(), 0)
    assert operations(loss, ids) == pytest.approx(formula(network, ids), rel=0.02)


def test_a_training_pass_keeps_the_numbers_that_plans_count(loss: WindowLoss) -> None:
    ids = torch.arange(2 * WINDOW).reshape(2, WINDOW) % VOCAB
    network = Network(LAYERS, 256, loss.model.num_parameters(), 0)
    assert kept_numbers(loss, ids) == pytest.approx(network.kept(ids.numel(), "fp32") / 4, rel=0.1)
