"""The training loop.

Why a plain loop: states must be readable without pickle, a killed run must continue bit for bit on a CPU, and batches must not depend on
the number of processes. ``transformers.Trainer`` and ``accelerate`` pickle optimizer and random states and shard data by samplers of their own;
Lightning Fabric's checkpoints are ``torch.save`` files. Meeting the three points with any of them means replacing most of it. What remains is
short: a step is a function of (weights, moments, step number), and the state is exactly these.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm
from transformers import PreTrainedModel

from igsm_pipeline import seeding
from igsm_pipeline.errors import BadSettings, StageFailed
from igsm_pipeline.model.gpt2_rotary import fuse_activations
from igsm_pipeline.processes.stopping import Stopped as StopSignal
from igsm_pipeline.processes.stopping import remember_stops
from igsm_pipeline.training.batches import BatchOrder, EndlessWindows, Windows, labels_of
from igsm_pipeline.training.curves import MetricsLog, flat_accuracy_warning
from igsm_pipeline.training.lanes import Lanes
from igsm_pipeline.training.optimizers import learning_rate, make_optimizers, set_learning_rate
from igsm_pipeline.training.packed import can_pack, packed_loss_sum
from igsm_pipeline.training.processes import Ranks, agreed_stop, joined_ranks
from igsm_pipeline.training.settings import TrainingSettings
from igsm_pipeline.training.state import load_newest_state, save_state
from igsm_pipeline.training.steps import StepResult, autocast, loss_sum, micro_batches, reduce_gradients

Monitor = Callable[[PreTrainedModel], dict[str, dict[str, list[int]]]]
"""Solves a fixed set of problems: "accuracy" -> op -> [correct, n], "slices" -> slice -> [correct, n]."""

_STOPPED = "training was stopped after step {step} of {steps}; its state is saved and a rerun resumes there"
Batch = tuple[NDArray[Any], NDArray[np.int64], NDArray[Any]]
_log = logging.getLogger(__name__)


SAVE_EVERY_S = 600.0
"""Seconds after which a state is saved even before ``checkpoint_every_steps``, so that a kill costs minutes only."""


class Stopped(StageFailed):
    """A signal asked training to stop; its state is saved and a rerun resumes."""


class _Abandoned(Exception):
    """A step was abandoned between two micro-batches; weights and moments are as before it."""


@dataclass(frozen=True)
class Specials:
    """The ids that ``loss_on: solution`` needs: the solution marker and the end of text."""

    solution: int
    eos: int


class Trainer:
    """A model with its optimizers, and one step of both."""

    def __init__(self, model: PreTrainedModel, settings: TrainingSettings, ranks: Ranks) -> None:
        if settings.batch_windows < ranks.size:
            raise BadSettings(
                "training.batch_windows", f"must be at least the {ranks.size} processes", settings.batch_windows, "start fewer processes"
            )
        self.settings, self.ranks = settings, ranks
        self.model = model.to(ranks.device).train()
        fuse_activations(self.model)
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizers = make_optimizers(self.model, settings)
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=settings.precision == "fp16")
        self.backbone = torch.compile(self.model.base_model) if settings.compile else self.model.base_model
        self.packs = not settings.compile and can_pack(self.model, ranks.device, settings.precision)
        self.dropout = any(isinstance(module, nn.Dropout) and module.p > 0 for module in self.model.modules())
        alone = ranks.device.type != "cpu" or settings.compile or self.dropout  # these share one random state between threads
        self.abandons: Callable[[], bool] = lambda: False
        self.lanes = Lanes(self._loss, self.parameters, 1 if alone else torch.get_num_threads())

    def _loss(self, part: tuple[Tensor, Tensor, int]) -> tuple[Tensor, Tensor]:
        """The scalar to differentiate and the summed loss of one micro-batch."""
        ids, wanted, scale = part
        if self.packs:
            loss = packed_loss_sum(self.model, ids, wanted)
            return loss / scale, loss
        with autocast(self.ranks.device, self.settings.precision):
            loss = loss_sum(self.backbone, self.model.get_output_embeddings(), ids.to(self.ranks.device), wanted.to(self.ranks.device))
        return self.scaler.scale(loss / scale), loss

    def _until_abandoned(self, parts: Iterable[tuple[Tensor, Tensor]], scale: int) -> Iterator[tuple[Tensor, Tensor, int]]:
        for ids, wanted in parts:
            if self.abandons():
                raise _Abandoned
            yield ids, wanted, scale

    def step(self, step: int, batch: Batch) -> StepResult:
        """Do one step on this rank's part of the global batch.

        Raises:
            StageFailed: the loss or the gradient is not finite (weights are then as before the step).
        """
        settings, device = self.settings, self.ranks.device
        windows, labels, lengths = batch
        if self.dropout:
            torch.manual_seed(seeding.torch_seed(settings.seed, "training.dropout", step * self.ranks.size + self.ranks.rank))
        scale = settings.batch_windows * windows.shape[1]  # one constant for all ranks, whose parts may differ in size
        size = settings.micro_batch or default_micro_batch(device, windows.shape[1], whole=settings.compile)
        parts = micro_batches(windows, labels, lengths, size, whole=settings.compile)
        loss = self.lanes.accumulate(self._until_abandoned(parts, scale))
        counts = torch.tensor([float((labels >= 0).sum()), float(lengths.sum())], dtype=torch.float64, device=device)
        totals = torch.cat([loss[None], counts])
        reduce_gradients(self.parameters, totals)
        total_loss, loss_tokens, tokens = totals.tolist()
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        torch._foreach_mul_([parameter.grad for parameter in self.parameters if parameter.grad is not None], scale / max(1.0, loss_tokens))
        norm = float(nn.utils.clip_grad_norm_(self.parameters, settings.gradient_clip or math.inf))
        mean = total_loss / max(1.0, loss_tokens)
        if not math.isfinite(mean) or (not math.isfinite(norm) and not self.scaler.is_enabled()):
            raise StageFailed(f"training diverged at step {step + 1}: loss {mean}, gradient norm {norm}; lower learning_rate or raise warmup_steps")
        set_learning_rate(self.optimizers, learning_rate(step, settings))
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
            optimizer.zero_grad()
        self.scaler.update()
        return StepResult(mean, int(loss_tokens), int(tokens), norm)


def default_micro_batch(device: torch.device, window: int, *, whole: bool) -> int:
    """Windows per forward pass: 64k tokens on a GPU; on a CPU 0, which gives all threads equal work, or with ``whole`` windows 1k tokens."""
    if device.type == "cuda":
        return max(1, (1 << 16) // window)
    return max(1, (1 << 10) // window) if whole else 0


def train(
    model: PreTrainedModel,
    data: Windows,
    settings: TrainingSettings,
    folder: Path,
    *,
    specials: Specials | None = None,
    unlearned: Callable[[NDArray[Any]], NDArray[np.bool_]] | None = None,
    monitor: Monitor | None = None,
) -> dict[str, Any]:
    """Train a model in place, from the newest state in ``folder`` if there is one.

    Args:
        model: trained in place; moved to the device.
        data: windows by number.
        settings: how to train.
        folder: gets metrics.jsonl and state/.
        specials: needed for ``loss_on: solution``.
        unlearned: says which tokens of windows, (batch, window), are not to be predicted; None: there are none.
        monitor: called in the first process every ``accuracy_every_steps`` and after the last step.

    Returns:
        ``{"steps", "tokens", "seconds", "loss", "resumed_step"}``; tokens without padding, of all processes together.

    Raises:
        BadSettings: fewer windows per step than processes.
        StageFailed: the loss is not finite.
        Stopped: a signal asked training to stop; the state is saved.
    """
    with joined_ranks(settings.device) as ranks, remember_stops() as stop, ThreadPoolExecutor(1, "batches") as reader:
        trainer = Trainer(model, settings, ranks)
        state = load_newest_state(folder, trainer.model, trainer.optimizers) or {"step": 0, "tokens": 0}
        if settings.precision == "fp16" and "scaler" in state:
            trainer.scaler.load_state_dict(state["scaler"])
        first, tokens = int(state["step"]), int(state["tokens"])
        metrics = MetricsLog(folder, first) if ranks.first else None
        order = BatchOrder(data.num_windows, settings.batch_windows, settings.seed)
        if isinstance(data, EndlessWindows):
            data.resume(state.get("windows", {"shard": 0, "first_window": 0}))
        if first:
            _log.info("training resumes after step %d of %d", first, settings.num_steps)

        started = mark = saved = time.monotonic()
        since = [StepResult(*row) for row in state.get("since", ())]

        def read(step: int) -> Batch:
            indices = np.array_split(order.indices(step), ranks.size)[ranks.rank]
            windows, lengths = data.read(indices)
            marker = specials if settings.loss_on == "solution" else None
            skipped = unlearned(windows) if unlearned is not None else None
            return windows, labels_of(windows, lengths, marker.solution if marker else None, marker.eos if marker else None, skipped), lengths

        def save(step: int, *, look_due: bool = False) -> None:
            nonlocal saved
            saved = time.monotonic()
            if ranks.first:
                extra = {
                    "tokens": tokens,
                    "since": [astuple(row) for row in since],
                    "look_due": look_due,
                    **({"scaler": trainer.scaler.state_dict()} if trainer.scaler.is_enabled() else {}),
                }
                if isinstance(data, EndlessWindows):
                    extra["windows"] = data.position(step * settings.batch_windows)
                save_state(folder, step, trainer.model, trainer.optimizers, extra)

        def look(step: int) -> bool:
            """Solve the monitor problems; False if a stop interrupted it."""
            if monitor is not None and metrics is not None:
                try:
                    with stop.interrupting():
                        look_at_accuracy(trainer.model, step, monitor, metrics)
                except StopSignal:
                    return False
            return True

        trainer.abandons = lambda: ranks.size == 1 and bool(stop.signals)
        missed = state.get("look_due") and not any("accuracy" in row and row["step"] == first for row in (metrics.rows if metrics else ()))
        if missed and not look(first):
            raise Stopped(_STOPPED.format(step=first, steps=settings.num_steps))
        result = StepResult(math.nan, 0, 0, 0.0)
        following: Future[Batch] | None = reader.submit(read, first) if first < settings.num_steps else None
        bar = tqdm(desc="training", unit="tok", unit_scale=True, disable=not ranks.first, initial=tokens)
        for step in range(first, settings.num_steps):
            assert following is not None
            batch = following.result()
            following = reader.submit(read, step + 1) if step + 1 < settings.num_steps else None
            try:
                result = trainer.step(step, batch)
            except _Abandoned:
                save(step)
                bar.close()
                raise Stopped(_STOPPED.format(step=step, steps=settings.num_steps)) from None
            except StageFailed as error:
                if metrics is not None:
                    metrics.append({"step": step, "warning": str(error)})
                raise
            done = step + 1
            tokens += result.tokens
            since.append(result)
            bar.update(result.tokens)
            if metrics is not None and (done % settings.log_every_steps == 0 or done == settings.num_steps):
                now = time.monotonic()
                row = summary(done, since, learning_rate(step, settings), tokens, now - mark)
                metrics.append(row)
                bar.set_postfix(step=f"{done}/{settings.num_steps}", loss=f"{row['loss']:.4f}", refresh=False)
                since, mark = [], now
            looked = True
            if settings.accuracy_every_steps and (done % settings.accuracy_every_steps == 0 or done == settings.num_steps):
                looked, mark = look(done), time.monotonic()
            stopping = agreed_stop(stop, ranks)
            late = time.monotonic() - saved > SAVE_EVERY_S
            if done % settings.checkpoint_every_steps == 0 or done == settings.num_steps or stopping or late:
                save(done, look_due=not looked)
            if stopping and (done < settings.num_steps or not looked):
                bar.close()
                raise Stopped(_STOPPED.format(step=done, steps=settings.num_steps))
        bar.close()
        return {"steps": settings.num_steps, "tokens": tokens, "seconds": time.monotonic() - started, "loss": result.loss, "resumed_step": first}


def look_at_accuracy(model: PreTrainedModel, step: int, monitor: Monitor, metrics: MetricsLog) -> None:
    """Solve the monitor problems; write the accuracy row, and a warning row if accuracy does not rise while the loss falls."""
    model.eval()
    metrics.append({"step": step, **monitor(model)})
    model.train()
    warning = flat_accuracy_warning(metrics.rows)
    if warning is not None:
        metrics.append({"step": step, "warning": warning})
        _log.warning("%s", warning)


def summary(step: int, results: list[StepResult], rate: float, tokens: int, seconds: float) -> dict[str, Any]:
    """A metrics row over some steps: loss is the mean per token with a label, grad_norm the mean."""
    weights = [result.loss_tokens for result in results]
    loss = sum(result.loss * weight for result, weight in zip(results, weights, strict=True)) / max(1, sum(weights))
    return {
        "step": step,
        "loss": loss,
        "lr": rate,
        "tokens": tokens,
        "tokens_per_s": round(sum(result.tokens for result in results) / max(seconds, 1e-9), 1),
        "grad_norm": sum(result.grad_norm for result in results) / len(results),
    }
