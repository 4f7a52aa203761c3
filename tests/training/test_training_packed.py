"""The packed loss is the model's own: value, gradients, whole trainings; and it stands back where it does not hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.training import trainer as trainers
from igsm_pipeline.training.batches import IGNORED, labels_of
from igsm_pipeline.training.packed import Gelu, can_pack, packed_loss_sum
from igsm_pipeline.training.processes import Ranks
from igsm_pipeline.training.settings import TrainingSettings
from igsm_pipeline.training.steps import loss_sum

VOCAB, WINDOW, SEED = 31, 20, 5
CPU = torch.device("cpu")


def small_model(**changes: Any) -> Any:
    shape = {"layers": 3, "heads": 2, "head_width": 10, "partial_rotary_factor": 0.6, "initializer_range": 0.2, **changes}
    model = gpt2_rotary.build(ModelSettings.model_validate(shape), VOCAB, WINDOW, SEED)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(SEED)
        for parameter in model.parameters():  # biases and norms, too, must have a part in the result
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def ragged_batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Seven windows of 1 to WINDOW labelled positions, some labels missing in the middle, one window without any."""
    generator = torch.Generator().manual_seed(SEED)
    ids = torch.randint(VOCAB, (7, WINDOW), generator=generator)
    labels = torch.randint(VOCAB, (7, WINDOW), generator=generator)
    for row, length in enumerate((WINDOW, 13, 1, 7, 0, 19, 2)):
        labels[row, length:] = IGNORED
    labels[0, :9] = IGNORED
    labels[5, ::3] = IGNORED
    return ids, labels


@pytest.mark.parametrize("rotated", [0.6, 0.0])
def test_loss_and_gradients_are_those_of_the_padded_pass(rotated: float) -> None:
    model = small_model(partial_rotary_factor=rotated)
    ids, labels = ragged_batch()
    wanted = loss_sum(model.base_model, model.get_output_embeddings(), ids, labels)
    found = packed_loss_sum(model, ids, labels)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)
    parameters = dict(model.named_parameters())
    for name, one, other in zip(
        parameters, torch.autograd.grad(wanted, parameters.values()), torch.autograd.grad(found, parameters.values()), strict=True
    ):
        assert (one - other).norm() <= 1e-5 * one.norm(), name


def test_gelu_and_its_slope_are_torchs_to_rounding() -> None:
    x = torch.linspace(-12, 12, 20001)
    exact = x.double().requires_grad_()
    ours = x.clone().requires_grad_()
    wanted, found = torch.nn.functional.gelu(exact, approximate="tanh"), Gelu.apply(ours)  # type: ignore[no-untyped-call]
    wanted.sum().backward()
    found.sum().backward()
    assert exact.grad is not None
    assert ours.grad is not None
    assert (found - wanted).abs().max() <= 2e-6
    assert (ours.grad - exact.grad).abs().max() <= 1e-5


def test_a_batch_without_labels_has_no_loss_and_no_gradient() -> None:
    model = small_model()
    loss = packed_loss_sum(model, torch.zeros((2, 5), dtype=torch.int64), torch.full((2, 5), IGNORED))
    loss.backward()
    assert loss.item() == 0
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("case", ["dropout", "bf16", "act", "parallel"])
def test_it_stands_back_from_what_it_does_not_compute(case: str) -> None:
    model = small_model(dropout=0.1 if case == "dropout" else 0.0)
    if case == "act":
        model.config.hidden_act = "gelu"
    if case == "parallel":
        model.config.use_parallel_residual = True
    assert not can_pack(model, CPU, "bf16" if case == "bf16" else "fp32")
    assert can_pack(small_model(), CPU, "fp32")


def test_a_training_takes_the_same_way_packed_and_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(SEED)
    windows, lengths = rng.integers(0, VOCAB, (8, 6, WINDOW)), rng.integers(2, WINDOW + 1, (8, 6))
    settings = TrainingSettings.model_validate(
        {"num_steps": 8, "batch_windows": 6, "warmup_steps": 2, "precision": "fp32", "device": "cpu", "optimizer": "muon", "learning_rate": 0.01}
    )

    def losses() -> list[float]:
        trainer = trainers.Trainer(small_model(), settings, Ranks(0, 1, CPU))
        return [trainer.step(step, (windows[step], labels_of(windows[step], lengths[step], None, None), lengths[step])).loss for step in range(8)]

    packed = losses()
    monkeypatch.setattr(trainers, "can_pack", lambda *_: False)
    padded = losses()
    assert packed != padded  # two ways to compute, so not to the last bit
    assert packed == pytest.approx(padded, rel=1e-4)
