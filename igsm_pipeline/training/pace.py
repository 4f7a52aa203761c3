"""How fast a training is and what holds it up: tokens per second, padding, waiting for batches, arithmetic, memory of the GPU.

These numbers stand in clock.jsonl beside the metrics, in MLflow and in the report. Ours: all of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TypeVar

import torch
from transformers import PreTrainedModel

from igsm_pipeline.costs import BACKWARD, Network
from igsm_pipeline.training.steps import StepResult

T = TypeVar("T")
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Part of a GPU's name -> dense operations per second in bf16 and fp16. Source: NVIDIA's data sheets."""


class Pace:
    """Watches a training between two logged steps.

    Attributes:
        device: where this process computes.
        per_token: floating-point operations of one token, forward and backward, in windows of the training's length.
        peak: operations per second that all the processes' GPUs could do; None where it is not known.
    """

    def __init__(self, model: PreTrainedModel, device: torch.device, *, window: int, precision: str, processes: int = 1) -> None:
        config, parameters = model.config, sum(one.numel() for one in model.parameters())
        network = Network(int(config.num_hidden_layers), int(config.hidden_size), parameters, 0)
        self.device, self.window = device, window
        self.per_token = (1 + BACKWARD) * network.forward(window / 2, head=True)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
        known = next((peak for part, peak in PEAKS.items() if part in name), None)
        self.peak = known * processes if known is not None and precision != "fp32" else None
        self._waited = 0.0
        self.begin()

    def begin(self, first: int = 0) -> None:
        """Begin to count anew.

        Args:
            first: how many results the next row will have of steps before now, such as those of a process that was stopped.
        """
        self._began, self._waited, self._first = time.monotonic(), 0.0, first

    def waited(self, batch: Future[T]) -> T:
        """The result of a batch that is being made; the seconds until it is there count as waiting."""
        started = time.monotonic()
        result = batch.result()
        self._waited += time.monotonic() - started
        return result

    def row(self, results: Sequence[StepResult], windows: int) -> dict[str, float]:
        """The numbers since ``begin``, which is then called.

        Args:
            results: of the steps since the last row.
            windows: per step, of all processes.

        Returns:
            ``tokens_per_s``: tokens without padding. ``padding``: share of positions that hold none. ``waiting``: share of the time in which this
            process waited for a batch. ``tflops_per_s``: arithmetic on tokens without padding. On a GPU ``memory_gb``, the most that was in use;
            where its peak is known ``mfu``, the arithmetic as a share of it.
        """
        results = results[self._first :]
        seconds, tokens = max(time.monotonic() - self._began, 1e-9), sum(result.tokens for result in results)
        rate, positions = tokens / seconds, max(1, len(results) * windows * self.window)
        found = {
            "tokens_per_s": round(rate, 1),
            "padding": round(1 - tokens / positions, 4),
            "waiting": round(min(1.0, self._waited / seconds), 4),
            "tflops_per_s": round(rate * self.per_token / 1e12, 4),
        }
        if self.device.type == "cuda":
            found["memory_gb"] = round(torch.cuda.max_memory_allocated(self.device) / 1e9, 3)
        if self.peak is not None:
            found["mfu"] = round(rate * self.per_token / self.peak, 4)
        self.begin()
        return found
