"""Snapshots: at which steps, that each is the model of its step, and that a training that broke off keeps the same ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from igsm_pipeline.errors import BadSettings
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.store import hash_file
from igsm_pipeline.training.loop import train
from igsm_pipeline.training.settings import TrainingSettings
from igsm_pipeline.training.snapshots import snapshot_steps, snapshots_in

VOCAB, WINDOW = 13, 8
PLAIN = {"num_steps": 8, "batch_windows": 2, "warmup_steps": 2, "precision": "fp32", "device": "cpu", "checkpoint_every_steps": 3}


class Windows:
    """Forty random windows; ``breaks`` is the read that fails."""

    num_windows, window = 40, WINDOW

    def __init__(self, breaks: int = -1) -> None:
        self.ids, self.breaks, self.reads = np.random.default_rng(1).integers(0, VOCAB, (40, WINDOW)), breaks, 0

    def read(self, indices):
        self.reads += 1
        if self.reads == self.breaks:
            raise OSError("the disk is gone")
        return self.ids[indices], np.full(len(indices), WINDOW)


def trained(folder, windows=None, **changes):
    folder.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    model = gpt2_rotary.build(ModelSettings(layers=1, heads=1, head_width=8), VOCAB, WINDOW, 3)
    train(model, windows or Windows(), TrainingSettings.model_validate({**PLAIN, **changes}), folder)
    return model


@given(st.integers(1, 200_000), st.integers(0, 40))
def test_the_first_and_the_last_step_are_kept_and_no_more_than_asked_for(num_steps, snapshots):
    steps = snapshot_steps(num_steps, snapshots)
    assert len(steps) <= max(snapshots, 2 * (snapshots > 0))
    assert all(a < b for a, b in pairwise(steps))
    assert steps == () if not snapshots else (steps[0], steps[-1]) == (0, num_steps)


def test_they_grow_by_one_factor_and_are_even_in_the_last_third():
    steps = snapshot_steps(4000, 14)
    assert len(steps) == 14
    assert {b - a for a, b in pairwise(steps[-5:])} == {350}
    ratios = [b / a for a, b in pairwise(steps[4:10])]
    assert max(ratios) < 1.05 * min(ratios)


def test_a_list_of_steps_is_kept_as_it_is(tmp_path):
    trained(tmp_path / "whole", snapshots=[0, 2, 5])
    assert list(snapshots_in(tmp_path / "whole")) == [0, 2, 5]


@pytest.mark.parametrize("steps", [[4, 2], [0, 0, 4], [0, 9]], ids=["falling", "twice", "after the end"])
def test_steps_that_no_training_takes_in_this_order_are_refused(steps):
    with pytest.raises(BadSettings, match=r"training: snapshots must be steps that rise, up to num_steps = 8, got \[.*; correct the list"):
        TrainingSettings.parse({**PLAIN, "snapshots": steps}, "training")


def test_each_is_the_model_after_its_step(tmp_path):
    last = trained(tmp_path / "whole", snapshots=4)
    kept = snapshots_in(tmp_path / "whole")
    assert list(kept) == list(snapshot_steps(8, 4))
    fresh = gpt2_rotary.build(ModelSettings(layers=1, heads=1, head_width=8), VOCAB, WINDOW, 3).state_dict()
    for step, wanted in ((0, fresh), (8, last.state_dict())):
        found = gpt2_rotary.load(kept[step]).state_dict()
        assert all(torch.equal(found[name], value) for name, value in wanted.items())
    middle = gpt2_rotary.load(kept[1]).state_dict()
    assert not torch.equal(middle["gpt_neox.embed_in.weight"], fresh["gpt_neox.embed_in.weight"])


def test_a_training_without_them_is_the_same(tmp_path):
    with_them, without = (trained(tmp_path / str(number), snapshots=number).state_dict() for number in (4, 0))
    assert all(torch.equal(with_them[name], value) for name, value in without.items())
    assert snapshots_in(tmp_path / "0") == {}


@pytest.mark.parametrize("breaks", [2, 5, 8])
def test_a_training_that_broke_off_keeps_the_same_ones(tmp_path, breaks):
    trained(tmp_path / "whole", snapshots=4)
    with pytest.raises(OSError, match="disk is gone"):
        trained(tmp_path / "broken", Windows(breaks), snapshots=4)
    trained(tmp_path / "broken", snapshots=4)
    whole, broken = (
        {step: hash_file(folder / "model.safetensors") for step, folder in snapshots_in(tmp_path / name).items()} for name in ("whole", "broken")
    )
    assert broken == whole
