"""Measures the speeds of this machine: a few seconds of each kind of work.

Two networks of two layers, one as narrow as ``mini``'s and one as wide as the paper's, do a training step, a step that trains the embedding alone,
a forward pass and a short completion. A loop of Python measures a core. Each is repeated for ``LEAST_S`` seconds, and the median counts. A process
that loads torch and kernels measures the start of a stage. On a processor the measure is processor time, so that other programs do not disturb it:
the speeds are those of an idle machine, and a plan says so if the machine is busy (``planning.speeds.busy``).

Ours: all of it.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import torch
from transformers import PreTrainedModel

from igsm_pipeline.costs import BACKWARD, DECODING, FITTING, FORWARD, PROBING, TRAINING, Network
from igsm_pipeline.model.decoding import complete
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.gpt2_rotary import build, fuse_activations
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.planning.speeds import MEASURED_WIDTHS, Speeds
from igsm_pipeline.processes.pools import usable_cores

LEAST_S = 0.5
SHAPES = dict(zip(MEASURED_WIDTHS, ((4, 20, 96), (12, 4, 256)), strict=True))
"""Width -> number of heads, rows and their length."""
_CPU = torch.device("cpu")
_LAYERS, _VOCABULARY, _WRITTEN = 2, 600, 24
_LOOP_S = 0.011
"""Seconds that the loop takes on one idle core of a common server."""
_FITTING = 6e9
"""Operations per second of linear probes on one core of a common server, from a finished ``mini``; memory limits them, not arithmetic."""
_LOOP_SHARE = 0.6
"""Share of the arithmetic's speed that a training on a CPU reaches: optimizer, data and waiting take the rest. From a finished ``mini``."""
_START = """
import torch, transformers, pyarrow
from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate_block
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.world import load_world
batch = generate_block(ProblemSetSettings(family=family_by_name("med"), num_problems=1), load_world("igsm"), 0)
emit(batch, build_table(batch.world, batch.modulus, TokenSettings()), "qp")
"""
_SPREAD = 1.6
"""How far a speed that was measured for a moment may differ from that of hours, up and down."""


def measure_speeds(device_name: str = "auto") -> Speeds:
    """Measure this machine's speeds; it takes some ten seconds, and up to a minute more where kernels are compiled first.

    Args:
        device_name: as in ``training.device``.

    Raises:
        BadSettings: this machine does not have the device.
    """
    device = pick_device(device_name)
    on_gpu = device.type == "cuda"
    core = _LOOP_S / _seconds_of(_loop)
    rates: dict[str, dict[int, tuple[float, float]]] = {FITTING: {96: _around(_FITTING * core * (100 if on_gpu else 1))}}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as when several units are computed side by side; training has a thread per core
    try:
        for width, (heads, rows, length) in SHAPES.items():
            for kind, rate in _measure_width(width, heads, rows, length, device).items():
                lanes = usable_cores() * _LOOP_SHARE if kind == TRAINING and not on_gpu else 1.0
                rates.setdefault(kind, {})[width] = _around(rate * lanes)
    finally:
        torch.set_num_threads(threads)
    now = datetime.now(UTC)
    return Speeds(
        machine=platform.node(),
        device=torch.cuda.get_device_name(device) if on_gpu else device.type,
        basis=f"measured on this machine for some seconds, {now:%Y-%m-%d %H:%M} UTC",
        start=_seconds_to_start(),
        core=core,
        cores=usable_cores(),
        rates=rates,
        cards=max(1, torch.cuda.device_count()) if on_gpu else 1,
        memory=float(torch.cuda.get_device_properties(device).total_memory) if on_gpu else 0.0,
    )


def _around(rate: float) -> tuple[float, float]:
    return rate / _SPREAD, rate * _SPREAD


def _measure_width(width: int, heads: int, rows: int, length: int, device: torch.device) -> dict[str, float]:
    settings = ModelSettings(layers=_LAYERS, heads=heads, head_width=width // heads)
    model = build(settings, _VOCABULARY, length, 0).to(device)
    fuse_activations(model)
    network = Network(_LAYERS, width, _LAYERS * 12 * width * width + _VOCABULARY * width, 0)
    ids = torch.from_numpy(np.random.default_rng(0).integers(1, _VOCABULARY, (rows, length))).to(device)
    tokens, price = ids.numel(), network.forward(length / 2, head=True)
    found = {TRAINING: tokens * (1 + BACKWARD) * price / _seconds_of(lambda: _train(model, ids, device), device)}
    if device.type == "cuda":
        found[f"{TRAINING} bf16"] = tokens * (1 + BACKWARD) * price / _seconds_of(lambda: _train(model, ids, device, torch.bfloat16), device)
    model.eval().requires_grad_(False)
    for suffix in ("", " bf16") if device.type == "cuda" else ("",):
        with torch.autocast(device.type, torch.bfloat16, enabled=bool(suffix)):
            seconds = _seconds_of(lambda: _probe(model, ids), device)
            found[f"{PROBING}{suffix}"] = tokens * (1 + BACKWARD / 2) * network.forward(length / 2) / seconds
            found[f"{FORWARD}{suffix}"] = tokens * network.forward(length / 2) / _seconds_of(lambda: _read(model, ids), device)
    prompts = list(ids[:, : length // 2].cpu().numpy()) * (8 if width == min(SHAPES) else 2)
    written = len(prompts) * (_WRITTEN + length / 2 / 10) * network.forward(length / 2, head=True)
    found[DECODING] = written / _seconds_of(lambda: complete(model, prompts, max_tokens=_WRITTEN, eos=0), device)
    return found


def _seconds_of(work: Callable[[], object], device: torch.device = _CPU) -> float:
    """Median seconds of some work, its first run left out; processor time if it runs on a processor."""
    work()
    taken: list[float] = []
    while sum(taken) < LEAST_S:
        started = _clock(device)
        work()
        taken.append(_clock(device) - started)
    return statistics.median(taken)


def _clock(device: torch.device) -> float:
    if device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def _train(model: PreTrainedModel, ids: torch.Tensor, device: torch.device, precision: torch.dtype | None = None) -> None:
    with torch.autocast(device.type, precision or torch.bfloat16, enabled=precision is not None):
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
    model.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)


def _probe(model: PreTrainedModel, ids: torch.Tensor) -> None:
    embedded = model.get_input_embeddings()(ids).requires_grad_(True)
    torch.autograd.backward(model.base_model(inputs_embeds=embedded, use_cache=False).last_hidden_state[:, -1].sum())


@torch.inference_mode()
def _read(model: PreTrainedModel, ids: torch.Tensor) -> None:
    model.base_model(input_ids=ids, use_cache=False)


def _loop() -> int:
    return sum(number * number % 7 for number in range(200_000))


def _seconds_to_start() -> float:
    """Processor time of a process that loads what a stage loads: libraries, and the kernels of problems and tokens.

    The first process after an installation compiles the kernels, which no later one does: the second counts.
    """
    for _ in range(2):
        before = os.times()
        subprocess.run([sys.executable, "-c", _START], check=False, capture_output=True)
        after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
