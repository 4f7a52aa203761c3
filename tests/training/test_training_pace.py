"""The pace of a training: what it counts is what happened by the clock, arithmetic is what torch counts, and a bar is shown where bars are."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from test_training_loop import command, settings_of

from igsm_pipeline.costs import Network
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.training import pace as module
from igsm_pipeline.training.counting import operations
from igsm_pipeline.training.one_graph import WindowLoss
from igsm_pipeline.training.pace import Pace
from igsm_pipeline.training.steps import StepResult

CPU = torch.device("cpu")
WINDOW = 48


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    shown = SimpleNamespace(now=100.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: shown.now))
    return shown


@pytest.fixture
def model():
    return gpt2_rotary.build(ModelSettings(layers=2, heads=2, head_width=16), 61, WINDOW, 1)


def test_rate_padding_and_waiting_are_those_of_the_clock(clock, model):
    pace = Pace(model, CPU, window=WINDOW, precision="fp32")

    class Late(Future):
        def result(self, timeout=None):
            clock.now += 1.5
            return "batch"

    assert pace.waited(Late()) == "batch"
    clock.now += 4.5
    row = pace.row([StepResult(1.0, 90, 96, 0.1), StepResult(1.0, 90, 48, 0.1)], windows=4)
    assert row == {
        "tokens_per_s": 24.0,
        "padding": round(1 - 144 / (2 * 4 * WINDOW), 4),
        "waiting": 0.25,
        "tflops_per_s": round(24 * pace.per_token / 1e12, 4),
    }
    clock.now += 2.0
    assert pace.row([StepResult(1.0, 90, 96, 0.1)], windows=2) == row | {"tokens_per_s": 48.0, "padding": 0.0, "waiting": 0.0}


def test_steps_of_before_a_stop_or_a_look_are_not_counted_as_work_of_the_time_since(clock, model):
    pace = Pace(model, CPU, window=WINDOW, precision="fp32")
    before, now = [StepResult(1.0, 90, 96, 0.1)] * 9, StepResult(1.0, 90, 96, 0.1)
    pace.begin(len(before))
    clock.now += 2.0
    row = pace.row([*before, now], windows=2)
    assert (row["tokens_per_s"], row["padding"]) == (48.0, 0.0)
    clock.now += 2.0
    assert pace.row([now], windows=2) == row, "the next row counts all of its steps"


def test_the_arithmetic_of_a_token_is_what_torch_counts_for_a_training_pass(model):
    counted = operations(WindowLoss(model), torch.ones(3, WINDOW, dtype=torch.int64)) / (3 * WINDOW)
    pace = Pace(model, CPU, window=WINDOW, precision="fp32")
    whole = 3 * Network(2, 32, sum(one.numel() for one in model.parameters()), 0).forward(WINDOW, head=True)
    half = 3 * 4.0 * 2 * 32 * WINDOW / 2  # torch counts attention over the whole square, a causal token reads half of it
    assert pace.per_token == pytest.approx(whole - half)
    assert counted == pytest.approx(whole, rel=0.1)


def test_a_gpu_of_known_peak_has_its_share_of_it(clock, model, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 12_345_678_901)
    device = torch.device("cuda", 0)
    pace = Pace(model, device, window=WINDOW, precision="bf16", processes=2)
    clock.now += 1e-6
    row = pace.row([StepResult(1.0, 10, 1_000_000, 0.1)], windows=1)
    assert row["mfu"] == pytest.approx(1e12 * pace.per_token / (2 * 989e12), rel=1e-3)
    assert row["memory_gb"] == 12.346
    assert Pace(model, device, window=WINDOW, precision="fp32").peak is None, "the peak is that of half precision"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "some card")
    assert Pace(model, device, window=WINDOW, precision="bf16").peak is None


@pytest.mark.parametrize("switch", ["", "1"])
def test_tqdm_disable_hides_the_progress_of_a_training(tmp_path: Path, switch: str) -> None:
    done = subprocess.run(
        command(tmp_path, settings_of(num_steps=10)), stderr=subprocess.PIPE, text=True, env={**os.environ, "TQDM_DISABLE": switch}, check=True
    )
    assert ("training:" in done.stderr) == (not switch)
