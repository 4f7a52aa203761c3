"""GRPO of TRL on the published model with our reward: 20 steps on problems of one more operation than it was taught run on a CPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from reference.examples import example

pytest.importorskip("trl", reason="trl is not installed: pip install -e '.[train]'")
pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).parents[2]
SMALL = CHECKOUT / "data/published/small"


def test_twenty_steps_of_grpo_give_a_reward_each_and_move_the_weights(tmp_path, capsys):
    import torch  # noqa: PLC0415

    from igsm_pipeline.model.gpt2_rotary import load  # noqa: PLC0415

    small_rl = example("small_rl")
    steps = int(os.environ.get("IGSM_GRPO_STEPS", "20"))
    weights = (SMALL / "model.safetensors").read_bytes()
    model, rewards = small_rl.train("next", SMALL, tmp_path, steps=steps)
    with capsys.disabled():
        print(f"\nmean reward of each of {steps} steps on op = max+1: {' '.join(f'{one:.2f}' for one in rewards)}")
    assert len(rewards) == steps
    assert all(0 <= one <= 1 for one in rewards)
    assert 0 < sum(rewards) < steps
    before, after = load(SMALL).state_dict(), model.state_dict()
    assert all(torch.isfinite(one).all() for one in after.values())
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert (SMALL / "model.safetensors").read_bytes() == weights
