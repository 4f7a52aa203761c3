"""States of a training on disk: who removes a damaged one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from igsm_pipeline.training.state import load_newest_state, save_state


@pytest.mark.parametrize("remove", [True, False])
def test_a_process_that_only_reads_leaves_a_damaged_state_to_the_first(tmp_path: Path, remove: bool) -> None:
    model = nn.Linear(2, 2)
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(model.parameters())]
    for step in (1, 2):
        save_state(tmp_path, step, model, optimizers, {"tokens": step})
    os.truncate(tmp_path / "state" / "step-000000002" / "model.safetensors", 10)
    state = load_newest_state(tmp_path, model, optimizers, remove=remove)
    assert state is not None
    assert state["step"] == 1
    assert [path.name for path in sorted((tmp_path / "state").iterdir())] == ["step-000000001", "step-000000002"][: 1 if remove else 2]
