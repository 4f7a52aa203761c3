"""The check of model folders passes on what was saved and sees weights that no model could use."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.checks import checkpoint_loads
from igsm_pipeline.model.settings import ModelSettings


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """A model folder as checks see it, just trained."""
    gpt2_rotary.save(gpt2_rotary.build(ModelSettings(layers=1, heads=2, head_width=16), 40, 64, 3), tmp_path)
    return SimpleNamespace(folders=lambda: [tmp_path], hit=False)


@pytest.fixture
def weights(run: Any) -> Path:
    return Path(run.folders()[0]) / "model.safetensors"


def test_a_saved_model_loads(run: Any, weights: Path) -> None:
    outcome = checkpoint_loads(run)
    assert outcome.passed, outcome.message
    assert outcome.metadata["tensors"] == len(load_file(weights))


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_one_weight_that_is_not_finite_fails_by_its_name(run: Any, weights: Path, value: float) -> None:
    tensors = load_file(weights)
    name = sorted(tensors)[-1]
    tensors[name].view(-1)[-1] = value
    save_file(tensors, weights, metadata={"format": "pt"})
    outcome = checkpoint_loads(run)
    assert (outcome.passed, outcome.message) == (False, f"{name} holds a value that is not finite")


@pytest.mark.parametrize("kept", [0, 5, -1])
def test_a_file_that_was_cut_fails(run: Any, weights: Path, kept: int) -> None:
    weights.write_bytes(weights.read_bytes()[:kept])
    outcome = checkpoint_loads(run)
    assert not outcome.passed
    assert outcome.message.startswith("model.safetensors cannot be read")


def test_a_file_that_is_gone_or_empty_of_weights_fails(run: Any, weights: Path) -> None:
    weights.unlink()
    assert not checkpoint_loads(run).passed
    save_file({}, weights)
    run.hit = True
    assert not checkpoint_loads(run).passed
    save_file({"a": torch.ones(1)}, weights)
    assert checkpoint_loads(run).passed


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_weights_of_half_precision_and_less_are_read_and_judged(run: Any, weights: Path, kind: torch.dtype) -> None:
    run.hit = True
    save_file({"a": torch.ones(3).to(kind)}, weights)
    assert checkpoint_loads(run).passed
    save_file({"a": torch.tensor([1.0, float("nan")]).to(kind)}, weights)
    assert checkpoint_loads(run).message == "a holds a value that is not finite"
