"""The random control has the architecture of what it is compared with and GPT-2's initial weights, drawn apart from the model's own."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from igsm_pipeline.model.control import STREAM, build_control
from igsm_pipeline.model.gpt2_rotary import build, load, save
from igsm_pipeline.model.settings import ControlSettings, ModelSettings
from igsm_pipeline.model.write import write_control
from igsm_pipeline.problems import FamilySettings
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.world import WorldSettings, load_world
from igsm_pipeline.world.write import write_world

SMALL = ModelSettings(layers=3, heads=2, head_width=32)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save(build(SMALL, 64, 128, seed=1), tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def test_projections_into_the_residual_stream_are_scaled_down_by_depth(checkpoint: Path) -> None:
    model = build_control(checkpoint, seed=2)
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            residual = name.endswith(("attention.dense.weight", "mlp.dense_4h_to_h.weight"))
            wanted = 0.02 / (math.sqrt(2 * 3) if residual else 1)
            assert weight.std().item() == pytest.approx(wanted, rel=0.1), name


def test_a_control_is_a_function_of_its_seed_and_no_copy_of_a_trained_models_first_weights(checkpoint: Path) -> None:
    first, second, other = (build_control(checkpoint, seed).state_dict() for seed in (1, 1, 2))
    start = build(SMALL, 64, 128, seed=1).state_dict()
    for name, weight in first.items():
        assert torch.equal(weight, second[name])
        if weight.ndim == 2:
            assert not torch.equal(weight, other[name])
            assert not torch.equal(weight, start[name])


def test_the_stage_needs_no_training_run_and_writes_what_the_checkpoints_config_would_give(tmp_path: Path) -> None:
    family, tokens = FamilySettings(op_max=3, ip_max=5, modulus=5, op_law="uniform", split_by="problem"), TokenSettings(segmentation="phrase")
    for name in ("world", "control"):
        (tmp_path / name).mkdir()
    write_world(WorldSettings(source="mini"), {}, Writing(tmp_path / "world", False))
    writing = Writing(tmp_path / "control", False)
    write_control(ControlSettings(family=family, tokens=tokens, model=SMALL, seed=7), {"world": tmp_path / "world"}, writing)
    size = build_table(load_world("mini"), family.modulus, tokens).size
    save(build(SMALL, size, 128, seed=0), tmp_path / "trained")
    wanted = build_control(tmp_path / "trained", 7).state_dict()
    written = load(tmp_path / "control").state_dict()
    assert STREAM != "model.init"
    assert all(torch.equal(written[name], weight) for name, weight in wanted.items())


def test_another_architecture_gets_its_own_initialisation_and_leaves_torchs_state_alone(tmp_path: Path) -> None:
    GPT2LMHeadModel(GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=50)).save_pretrained(tmp_path / "foreign")
    state = torch.random.get_rng_state()
    first, second = (build_control(tmp_path / "foreign", 3) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert isinstance(first, GPT2LMHeadModel)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
