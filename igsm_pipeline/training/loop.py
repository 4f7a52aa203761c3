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
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm
from transformers import PreTrainedModel

from igsm_pipeline.errors import StageFailed
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.processes.stopping import Stopped as StopSignal
from igsm_pipeline.processes.stopping import StopRequest, remember_stops
from igsm_pipeline.training.batches import BatchOrder, EndlessWindows, Windows, labels_of
from igsm_pipeline.training.curves import MetricsLog, flat_accuracy_warning
from igsm_pipeline.training.optimizers import learning_rate
from igsm_pipeline.training.pace import Pace
from igsm_pipeline.training.processes import Ranks, Stopped, agreed_stop, check_same_step, joined_ranks
from igsm_pipeline.training.settings import TrainingSettings
from igsm_pipeline.training.snapshots import folder_at, snapshot_steps
from igsm_pipeline.training.state import load_newest_state, save_state
from igsm_pipeline.training.steps import StepResult
from igsm_pipeline.training.trainer import Abandoned, Batch, Trainer

Monitor = Callable[[PreTrainedModel], dict[str, dict[str, list[int]]]]
"""Solves a fixed set of problems: "accuracy" -> op -> [correct, n], "slices" -> slice -> [correct, n]."""
Unlearned = Callable[[NDArray[Any]], NDArray[np.bool_]]
"""Says which tokens of windows, (batch, window), are not to be predicted."""

SAVE_EVERY_S = 600.0
"""Seconds after which a state is saved even before ``checkpoint_every_steps``, so that a kill costs minutes only."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Specials:
    """The ids that ``loss_on: solution`` needs: the solution marker and the end of text."""

    solution: int
    eos: int


def train(
    model: PreTrainedModel,
    data: Windows,
    settings: TrainingSettings,
    folder: Path,
    *,
    specials: Specials | None = None,
    unlearned: Unlearned | None = None,
    monitor: Monitor | None = None,
) -> dict[str, Any]:
    """Train a model in place, from the newest state in ``folder`` if there is one.

    Args:
        model: trained in place; moved to the device.
        data: windows by number.
        settings: how to train.
        folder: gets metrics.jsonl, state/ and snapshots/.
        specials: needed for ``loss_on: solution``.
        unlearned: which tokens are not to be predicted; None: there are none.
        monitor: called in the first process every ``accuracy_every_steps`` and after the last step.

    Returns:
        ``{"steps", "tokens", "seconds", "loss", "resumed_step"}``; tokens without padding, of all processes together.

    Raises:
        BadSettings: fewer windows per step than processes.
        StageFailed: the loss is not finite.
        Stopped: a signal asked training to stop; the state is saved.
    """
    with joined_ranks(settings.device) as ranks, remember_stops() as stop, ThreadPoolExecutor(1, "batches") as pool:
        course = _Course(Trainer(model, settings, ranks), data, folder, stop, monitor)
        batches = _Batches(data, settings, ranks, pool, specials, unlearned)
        first, started = course.step, time.monotonic()
        with course.bar:
            course.look_as_due()
            batches.read_ahead(first)
            course.pace.begin()
            for step in range(first, settings.num_steps):
                course.keep()
                batch = course.pace.waited(batches.ahead)
                batches.read_ahead(step + 1)
                course.take(batch)
            course.keep()
        seconds = time.monotonic() - started
        return {"steps": settings.num_steps, "tokens": course.tokens, "seconds": seconds, "loss": course.loss, "resumed_step": first}


class _Batches:
    """This process's part of each batch, read while the step before is computed.

    Attributes:
        ahead: the batch that ``read_ahead`` began to read.
    """

    ahead: Future[Batch]

    def __init__(
        self,
        data: Windows,
        settings: TrainingSettings,
        ranks: Ranks,
        pool: ThreadPoolExecutor,
        specials: Specials | None,
        unlearned: Unlearned | None,
    ) -> None:
        self.data, self.settings, self.ranks, self.pool = data, settings, ranks, pool
        self.marks = specials if settings.loss_on == "solution" else None
        self.unlearned = unlearned
        self.order = BatchOrder(data.num_windows, settings.batch_windows, settings.seed)

    def read_ahead(self, step: int) -> None:
        """Begin to read the batch of a step, if there is such a step."""
        if step < self.settings.num_steps:
            self.ahead = self.pool.submit(self._read, step)

    def _read(self, step: int) -> Batch:
        indices = np.array_split(self.order.indices(step), self.ranks.size)[self.ranks.rank]
        windows, lengths = self.data.read(indices)
        skipped = self.unlearned(windows) if self.unlearned is not None else None
        marks = self.marks
        labels = labels_of(windows, lengths, marks.solution if marks else None, marks.eos if marks else None, skipped)
        return windows, labels, lengths


class _Course:
    """A training on its way: the steps that are done, and what is written of them.

    Attributes:
        step: steps done so far.
        tokens: of these steps, without padding, of all processes.
        loss: of the last step; not a number before the first.
        since: results of the steps since the last row of metrics.jsonl.
    """

    def __init__(self, trainer: Trainer, data: Windows, folder: Path, stop: StopRequest, monitor: Monitor | None) -> None:
        settings, ranks = trainer.settings, trainer.ranks
        self.trainer, self.data, self.folder, self.stop, self.monitor = trainer, data, folder, stop, monitor
        self.settings, self.ranks = settings, ranks
        state = load_newest_state(folder, trainer.model, trainer.optimizers, remove=ranks.first) or {"step": 0, "tokens": 0}
        check_same_step(int(state["step"]), ranks)
        if settings.precision == "fp16" and "scaler" in state:
            trainer.scaler.load_state_dict(state["scaler"])
        self.step, self.tokens, self.loss = int(state["step"]), int(state["tokens"]), math.nan
        self.since = [StepResult(*row) for row in state.get("since", ())]
        self.metrics = MetricsLog(folder, self.step) if ranks.first else None
        self.look_missed = bool(state.get("look_due"))
        if isinstance(data, EndlessWindows):
            data.resume(state.get("windows", {"shard": 0, "first_window": 0}))
        if self.step:
            _log.info("training resumes after step %d of %d", self.step, settings.num_steps)
        self.due = set(snapshot_steps(settings.num_steps, settings.snapshots))
        self.pace = Pace(trainer.model, ranks.device, window=data.window, precision=settings.precision, processes=ranks.size)
        self.pace.begin(len(self.since))
        self.saved = time.monotonic()
        hidden = {} if ranks.first else {"disable": True}  # not given for the first process: TQDM_DISABLE decides
        self.bar = tqdm(desc="training", unit="tok", unit_scale=True, initial=self.tokens, **hidden)
        trainer.abandons = lambda: ranks.size == 1 and bool(stop.signals)

    def take(self, batch: Batch) -> None:
        """Do the next step, and write and save what is due after it.

        Raises:
            StageFailed: the loss is not finite.
            Stopped: a signal asked to stop; the state is saved.
        """
        settings, trainer = self.settings, self.trainer
        done = self.step + 1
        last = done == settings.num_steps
        logs = last or done % settings.log_every_steps == 0
        try:
            trainer.launch(self.step, batch)
            if trainer.waits or logs:
                self.gather()
        except Abandoned:
            self.save()
            raise self.stopped() from None
        except StageFailed as error:
            self.write({"step": self.step, "warning": str(error)})
            raise
        self.step = done
        if logs:
            self.log()
        looked, looks = True, bool(settings.accuracy_every_steps) and (last or done % settings.accuracy_every_steps == 0)
        if looks:
            looked = self.look()
            self.pace.begin(len(self.since))
        stopping = (trainer.waits or self.ranks.size == 1 or logs or looks) and agreed_stop(self.stop, self.ranks)  # agreeing waits for the GPU
        late = time.monotonic() - self.saved > SAVE_EVERY_S
        if last or stopping or late or done % settings.checkpoint_every_steps == 0:
            self.save(look_due=not looked)
        if stopping and not (last and looked):
            raise self.stopped()

    def gather(self) -> None:
        """Read the results of the steps so far; on a GPU this waits for them."""
        for result in self.trainer.results():
            self.loss = result.loss
            self.tokens += result.tokens
            self.since.append(result)
            self.bar.update(result.tokens)

    def write(self, row: dict[str, Any]) -> None:
        """Append a row to metrics.jsonl, in the first process."""
        if self.metrics is not None:
            self.metrics.append(row)

    def log(self) -> None:
        """Write a row over the steps since the last one."""
        since, self.since = self.since, []
        if self.metrics is None:
            return
        row = summary(self.step, since, learning_rate(self.step - 1, self.settings), self.tokens)
        self.write({**row, **self.pace.row(since, self.settings.batch_windows)})
        self.bar.set_postfix(step=f"{self.step}/{self.settings.num_steps}", loss=f"{row['loss']:.4f}", refresh=False)

    def save(self, *, look_due: bool = False) -> None:
        """Save the state; a rerun goes on from it, and looks at the accuracy first if that is due."""
        self.saved = time.monotonic()
        self.gather()
        if not self.ranks.first:
            return
        extra: dict[str, Any] = {"tokens": self.tokens, "since": [astuple(row) for row in self.since], "look_due": look_due}
        if self.trainer.scaler.is_enabled():
            extra["scaler"] = self.trainer.scaler.state_dict()
        if isinstance(self.data, EndlessWindows):
            extra["windows"] = self.data.position(self.step * self.settings.batch_windows)
        save_state(self.folder, self.step, self.trainer.model, self.trainer.optimizers, extra)

    def keep(self) -> None:
        """Keep the weights, if a snapshot is due."""
        if self.ranks.first and self.step in self.due:
            gpt2_rotary.save(self.trainer.model, folder_at(self.folder, self.step))

    def look(self) -> bool:
        """Solve the monitor problems; False if a stop interrupted it."""
        if self.monitor is None or self.metrics is None:
            return True
        try:
            with self.stop.interrupting():
                look_at_accuracy(self.trainer.model, self.step, self.monitor, self.metrics)
        except StopSignal:
            return False
        return True

    def look_as_due(self) -> None:
        """Look at the accuracy, if the training was stopped before it could.

        Raises:
            Stopped: it is stopped again.
        """
        rows = self.metrics.rows if self.metrics is not None else ()
        if self.look_missed and not any("accuracy" in row and row["step"] == self.step for row in rows) and not self.look():
            raise self.stopped()

    def stopped(self) -> Stopped:
        """What to raise when a signal asked to stop."""
        return Stopped(f"training was stopped after step {self.step} of {self.settings.num_steps}; its state is saved and a rerun resumes there")


def look_at_accuracy(model: PreTrainedModel, step: int, monitor: Monitor, metrics: MetricsLog) -> None:
    """Solve the monitor problems; write the accuracy row, and a warning row if accuracy does not rise while the loss falls."""
    model.eval()
    try:
        metrics.append({"step": step, **monitor(model)})
    finally:
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
