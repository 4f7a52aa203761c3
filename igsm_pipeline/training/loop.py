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
from torch._dynamo.exc import TorchDynamoException
from tqdm import tqdm
from transformers import PreTrainedModel

from igsm_pipeline import seeding
from igsm_pipeline.errors import BadSettings, StageFailed
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.gpt2_rotary import fuse_activations
from igsm_pipeline.processes.stopping import Stopped as StopSignal
from igsm_pipeline.processes.stopping import remember_stops
from igsm_pipeline.training.batches import BatchOrder, EndlessWindows, Windows, labels_of
from igsm_pipeline.training.curves import MetricsLog, flat_accuracy_warning
from igsm_pipeline.training.lanes import Lanes
from igsm_pipeline.training.one_graph import WindowLoss, compiles
from igsm_pipeline.training.optimizers import learning_rate, make_optimizers, set_learning_rate
from igsm_pipeline.training.pace import Pace
from igsm_pipeline.training.packed import can_pack, packed_loss_sum
from igsm_pipeline.training.processes import Ranks, agreed_stop, joined_ranks
from igsm_pipeline.training.settings import TrainingSettings
from igsm_pipeline.training.snapshots import folder_at, snapshot_steps
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
    """A model with its optimizers, and one step of both.

    Attributes:
        graph: on a GPU, and where the loss is compiled: the loss as one graph. None: the loss of a CPU, which computes no padding.
        waits: on a CPU: the result of a step is read at once.
        unread: on a GPU, the results of steps that nobody has read yet; reading one waits for the GPU.
    """

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
        self.compiled = compiles(settings.compile, ranks.device)
        self.waits = ranks.device.type == "cpu"
        self.graph = None if self.waits and not self.compiled else WindowLoss(self.model, "inductor" if self.compiled else None)
        self.unread: list[tuple[int, Tensor]] = []
        self.packs = not self.compiled and can_pack(self.model, ranks.device, settings.precision)
        self.dropout = any(isinstance(module, nn.Dropout) and module.p > 0 for module in self.model.modules())
        alone = not self.waits or self.compiled or self.dropout  # these share one random state between threads
        self.abandons: Callable[[], bool] = lambda: False
        self.lanes = Lanes(self._loss, self.parameters, 1 if alone else torch.get_num_threads())

    def _loss(self, part: tuple[Tensor, Tensor, int]) -> tuple[Tensor, Tensor]:
        """The scalar to differentiate and the summed loss of one micro-batch."""
        ids, wanted, scale = part
        if self.packs:
            loss = packed_loss_sum(self.model, ids, wanted)
            return loss / scale, loss
        if self.ranks.device.type == "cuda":
            ids, wanted = ids.pin_memory(), wanted.pin_memory()
        ids, wanted = (one.to(self.ranks.device, non_blocking=True) for one in (ids, wanted))
        with autocast(self.ranks.device, self.settings.precision):
            if self.graph is not None:
                loss = self.graph(ids, wanted)
            else:
                loss = loss_sum(self.model.base_model, self.model.get_output_embeddings(), ids, wanted)
        return self.scaler.scale(loss / scale), loss

    def _until_abandoned(self, parts: Iterable[tuple[Tensor, Tensor]], scale: int) -> Iterator[tuple[Tensor, Tensor, int]]:
        for ids, wanted in parts:
            if self.abandons():
                raise _Abandoned
            yield ids, wanted, scale

    def _gradients(self, batch: Batch, scale: int) -> Tensor:
        """Add up the gradients of a batch. Returns the summed loss, float64. What does not compile here is computed without compiling."""
        windows, labels, lengths = batch
        size = self.settings.micro_batch or default_micro_batch(self.ranks.device, windows.shape[1], whole=self.compiled)
        while True:
            parts = micro_batches(windows, labels, lengths, size, whole=self.compiled)
            try:
                return self.lanes.accumulate(self._until_abandoned(parts, scale))
            except TorchDynamoException as error:
                if not self.compiled:
                    raise
                self.compiled, self.graph = False, WindowLoss(self.model)
                _log.warning("training is not compiled, for compiling failed (%s); it takes longer", " ".join(str(error).split())[:200])
                for optimizer in self.optimizers:
                    optimizer.zero_grad()

    def step(self, step: int, batch: Batch) -> StepResult:
        """Do one step on this rank's part of the global batch, and read its result.

        Raises:
            StageFailed: the loss or the gradient is not finite (weights are then as before the step; on a GPU, as after it).
        """
        self.launch(step, batch)
        return self.results()[-1]

    def launch(self, step: int, batch: Batch) -> None:
        """Do one step; ``results`` has its result. On a GPU nothing here waits for it.

        Raises:
            StageFailed: on a CPU, as for ``step``.
        """
        settings, device = self.settings, self.ranks.device
        windows, labels, lengths = batch
        if self.dropout:
            torch.manual_seed(seeding.torch_seed(settings.seed, "training.dropout", step * self.ranks.size + self.ranks.rank))
        scale = settings.batch_windows * windows.shape[1]  # one constant for all ranks, whose parts may differ in size
        loss = self._gradients(batch, scale)
        counts = torch.tensor([float((labels >= 0).sum()), float(lengths.sum())], dtype=torch.float64, device=device)
        totals = torch.cat([loss[None], counts])
        reduce_gradients(self.parameters, totals)
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        if self.waits:
            torch._foreach_mul_(gradients, scale / max(1.0, float(totals[1])))
        else:
            torch._foreach_mul_(gradients, (scale / totals[1].clamp(min=1.0)).float())
        norm = nn.utils.clip_grad_norm_(self.parameters, settings.gradient_clip or math.inf)
        self.unread.append((step, torch.cat([totals, norm.detach().double().to(device)[None]])))
        if self.waits:
            self._check(self.unread[-1])
        set_learning_rate(self.optimizers, learning_rate(step, settings))
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
            optimizer.zero_grad()
        self.scaler.update()

    def _check(self, done: tuple[int, Tensor]) -> StepResult:
        step, (total, loss_tokens, tokens, norm) = done[0], done[1].tolist()
        mean = total / max(1.0, loss_tokens)
        if not math.isfinite(mean) or (not math.isfinite(norm) and not self.scaler.is_enabled()):
            raise StageFailed(f"training diverged at step {step + 1}: loss {mean}, gradient norm {norm}; lower learning_rate or raise warmup_steps")
        return StepResult(mean, int(loss_tokens), int(tokens), norm)

    def results(self) -> list[StepResult]:
        """The results of the steps since the last call.

        Raises:
            StageFailed: as for ``step``.
        """
        unread, self.unread = self.unread, []
        return [self._check(done) for done in unread]


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
        folder: gets metrics.jsonl, state/ and snapshots/.
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

        started = saved = time.monotonic()
        since = [StepResult(*row) for row in state.get("since", ())]
        due = set(snapshot_steps(settings.num_steps, settings.snapshots))
        result = StepResult(math.nan, 0, 0, 0.0)

        def read(step: int) -> Batch:
            indices = np.array_split(order.indices(step), ranks.size)[ranks.rank]
            windows, lengths = data.read(indices)
            marker = specials if settings.loss_on == "solution" else None
            skipped = unlearned(windows) if unlearned is not None else None
            return windows, labels_of(windows, lengths, marker.solution if marker else None, marker.eos if marker else None, skipped), lengths

        def save(step: int, *, look_due: bool = False) -> None:
            nonlocal saved
            saved = time.monotonic()
            gather()
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

        def gather(now: bool = True) -> None:
            """Read the results of the steps so far."""
            nonlocal result, tokens
            for result in trainer.results() if now else ():
                tokens += result.tokens
                since.append(result)
                bar.update(result.tokens)

        def keep(step: int) -> None:
            """Keep the weights, if a snapshot is due."""
            if ranks.first and step in due:
                gpt2_rotary.save(trainer.model, folder_at(folder, step))

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
        following: Future[Batch] | None = reader.submit(read, first) if first < settings.num_steps else None
        pace = Pace(trainer.model, ranks.device, window=data.window, precision=settings.precision, processes=ranks.size)
        bar = tqdm(desc="training", unit="tok", unit_scale=True, disable=not ranks.first, initial=tokens)
        for step in range(first, settings.num_steps):
            keep(step)
            assert following is not None
            batch = pace.waited(following)
            following = reader.submit(read, step + 1) if step + 1 < settings.num_steps else None
            done = step + 1
            logs = done % settings.log_every_steps == 0 or done == settings.num_steps
            try:
                trainer.launch(step, batch)
                gather(trainer.waits or logs)
            except _Abandoned:
                save(step)
                bar.close()
                raise Stopped(_STOPPED.format(step=step, steps=settings.num_steps)) from None
            except StageFailed as error:
                if metrics is not None:
                    metrics.append({"step": step, "warning": str(error)})
                raise
            if metrics is not None and logs:
                row = summary(done, since, learning_rate(step, settings), tokens)
                metrics.append({**row, **pace.row(since, settings.batch_windows)})
                bar.set_postfix(step=f"{done}/{settings.num_steps}", loss=f"{row['loss']:.4f}", refresh=False)
                since = []
            looked = True
            if settings.accuracy_every_steps and (done % settings.accuracy_every_steps == 0 or done == settings.num_steps):
                looked = look(done)
                pace.begin()
            stopping = (trainer.waits or ranks.size == 1 or logs) and agreed_stop(stop, ranks)  # agreeing waits for the GPU
            late = time.monotonic() - saved > SAVE_EVERY_S
            if done % settings.checkpoint_every_steps == 0 or done == settings.num_steps or stopping or late:
                save(done, look_due=not looked)
            if stopping and (done < settings.num_steps or not looked):
                bar.close()
                raise Stopped(_STOPPED.format(step=done, steps=settings.num_steps))
        keep(settings.num_steps)
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


def summary(step: int, results: list[StepResult], rate: float, tokens: int) -> dict[str, Any]:
    """A metrics row over some steps: loss is the mean per token with a label, grad_norm the mean."""
    weights = [result.loss_tokens for result in results]
    loss = sum(result.loss * weight for result, weight in zip(results, weights, strict=True)) / max(1, sum(weights))
    return {
        "step": step,
        "loss": loss,
        "lr": rate,
        "tokens": tokens,
        "grad_norm": sum(result.grad_norm for result in results) / len(results),
    }
