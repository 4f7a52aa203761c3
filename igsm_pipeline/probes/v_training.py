"""Trains a V-probe: seeded, with saved states, so that a killed training resumes and gives the same probe.

On a GPU the problems of a step lie in one row of one of three shapes (``activations.fixed_rows``), which are compiled; on a CPU in a row each.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from tqdm import tqdm
from transformers import PreTrainedModel

from igsm_pipeline import seeding
from igsm_pipeline.activations.fixed_rows import Shape, choose_shapes
from igsm_pipeline.activations.forward import SequenceBatch, freeze
from igsm_pipeline.model.compiling import NOT_COMPILED
from igsm_pipeline.model.device import sent
from igsm_pipeline.probes.convergence import Curve
from igsm_pipeline.probes.prior import log_shares
from igsm_pipeline.probes.settings import VProbeSettings
from igsm_pipeline.probes.v_probe import Asking, VProbe, computes_bf16, fit_sizes
from igsm_pipeline.probes.weights import read_checked, write_tensors
from igsm_pipeline.processes.stopping import Stopped, remember_stops
from igsm_pipeline.queries.sequences import QueryTokens

STATE = "state.safetensors"
_log = logging.getLogger(__name__)
SETTLED_BY = 64
"""How many problems are read to find the tokens in use."""
_UNUSED = -100
"""The label of a slot without a query: it counts nothing."""
_POOL = 16
"""How many batches are formed together, from problems sorted by length, so that there is less padding."""


class Batches:
    """The problems of each step. They depend on the seed and the step alone.

    Every epoch is a new permutation; problems that do not fill a last whole batch are left out of that epoch.
    """

    def __init__(self, lengths: NDArray[np.int64], batch_problems: int, seed: int) -> None:
        self.lengths, self.seed = lengths, seed
        self.size = min(batch_problems, len(lengths))
        self.per_epoch = len(lengths) // self.size
        self._epoch, self._plan = -1, np.empty((0, self.size), np.int64)

    def at(self, step: int) -> NDArray[np.int64]:
        """Indices of the problems of a step, in ascending order, (batch,)."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._plan = epoch, self._shuffle(epoch)
        return np.sort(self._plan[place])

    def _shuffle(self, epoch: int) -> NDArray[np.int64]:
        random = seeding.generator(self.seed, "v_probe.batches", epoch)
        order = random.permutation(len(self.lengths))[: self.per_epoch * self.size]
        pools = [order[start : start + _POOL * self.size] for start in range(0, len(order), _POOL * self.size)]
        plan = np.concatenate([pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools]).reshape(-1, self.size)
        return plan[random.permutation(len(plan))]


def shapes_of(batches: Batches, queries: NDArray[np.int64], num_steps: int) -> tuple[Shape, ...]:
    """The shapes of the rows into which the problems of every step fit.

    Args:
        batches: the problems of each step.
        queries: how many queries each problem has, (num_problems,).
        num_steps: of the training.
    """
    chosen = [batches.at(step) for step in range(num_steps)]
    lengths, numbers = (np.array([int(of[one].sum()) for one in chosen]) for of in (batches.lengths, queries))
    return choose_shapes(lengths, numbers)


def batches_of(settings: VProbeSettings, tokens: QueryTokens) -> tuple[Batches, NDArray[np.int64]]:
    """The batches of a training, and the problems that it holds out (indices into ``tokens.problems``), the last ones."""
    seen = len(tokens.problems) - min(settings.held_out, len(tokens.problems) // 2)
    return Batches(tokens.lengths()[:seen], settings.batch_problems, settings.seed), np.arange(seen, len(tokens.problems))


@dataclass
class _Course:
    """The training of one start: its probe, its optimizer, the losses, (num_steps,), and how many steps are done."""

    probe: VProbe
    optimizer: torch.optim.Optimizer
    losses: torch.Tensor
    done: int = 0


@dataclass(frozen=True)
class Trained:
    """A probe with the record of its training.

    Attributes:
        probe: as it stands after the last step.
        losses: of every step, float32, (num_steps,).
        curve: its answers to the held-out queries along the way.
    """

    probe: VProbe
    losses: NDArray[np.float32]
    curve: Curve


class _Training:
    """What all starts share: the frozen model, the queries, and the batch and the learning rate of each step."""

    def __init__(self, settings: VProbeSettings, model: PreTrainedModel, tokens: QueryTokens, num_classes: int, device: torch.device) -> None:
        self.settings, self.model, self.tokens, self.num_classes, self.device = settings, freeze(model), tokens, num_classes, device
        self.batches, self.held = batches_of(settings, tokens)
        self.labels = torch.from_numpy(tokens.label)
        learnt = tokens.label[tokens.rows_of(np.arange(len(self.batches.lengths)))]
        self.log_shares = torch.from_numpy(log_shares(settings.prior, learnt, num_classes)).float().to(device)
        self.bf16, steps = computes_bf16(settings.precision, device), settings.num_steps
        shapes = partial(shapes_of, self.batches, np.diff(tokens.starts), steps)
        self.asking = Asking(self.model, settings.layer, device, bf16=self.bf16, passes=steps, shapes=shapes)
        self.used = torch.from_numpy(tokens.pack(tokens.rows_of(np.arange(min(SETTLED_BY, len(tokens.problems))))).ids).to(device)

    def begin(self, start: int) -> _Course:
        """A new course, no step done."""
        settings = self.settings
        probe = VProbe(*fit_sizes(self.model), self.num_classes, settings.rank, settings.seed, start, settings.layer).to(self.device)
        probe.settle_markers(self.model, self.tokens.markers, self.used)
        optimizer = torch.optim.AdamW(probe.parameters(), lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay)
        return _Course(probe, optimizer, torch.zeros(settings.num_steps, device=self.device))

    def step(self, course: _Course) -> None:
        """Do a course's next step."""
        settings = self.settings
        rise = min(1.0, (course.done + 1) / (settings.warmup_steps + 1))
        for group in course.optimizer.param_groups:
            group["lr"] = settings.learning_rate * rise * (1 - course.done / settings.num_steps)
        rows = self.tokens.rows_of(self.batches.at(course.done))
        try:
            loss = self._gradients(course, rows)
        except NOT_COMPILED as error:  # a backward pass is compiled when it is first needed
            self.asking.give_up(error)
            loss = self._gradients(course, rows)
        course.optimizer.step()
        course.losses[course.done] = loss
        course.done += 1

    def _gradients(self, course: _Course, rows: NDArray[np.int64]) -> torch.Tensor:
        """Let a probe have the gradients of its mean cross-entropy on some queries, which is returned."""
        labels = sent(self.labels[rows], self.device)
        logits = self.asking.logits(course.probe, self.tokens.pack(rows))
        labels = torch.nn.functional.pad(labels, (0, len(logits) - len(labels)), value=_UNUSED)
        loss = torch.nn.functional.cross_entropy(logits + self.log_shares, labels, ignore_index=_UNUSED)
        course.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        return loss.detach()

    def autocast(self) -> torch.autocast:
        """The precision that the settings ask for."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    @torch.inference_mode()
    def score(self, course: _Course, curve: Curve) -> None:
        """Let a probe answer the held-out queries, where this step is one of the curve's."""
        if course.done in curve.steps:
            with self.autocast():
                batches = (SequenceBatch.of(self.tokens.pack(rows), self.device) for rows in curve.passes)
                said = [course.probe(self.model, batch).argmax(-1).cpu().numpy() for batch in batches]
            curve.answers[course.done] = np.concatenate(said).astype(np.int16)


def train_v_probe(
    settings: VProbeSettings, model: PreTrainedModel, tokens: QueryTokens, *, num_classes: int, folder: Path, device: torch.device, label: str
) -> Trained:
    """Train one probe on one frozen model.

    With several ``starts``, each one takes the first ``start_steps`` steps on the same batches. The start with the lowest mean loss over the last
    quarter of them is trained to the end. Held-out problems are scored, and decide nothing.

    Args:
        settings: how to train.
        model: the model, on ``device``; it is frozen and put into evaluation mode.
        tokens: the training queries.
        num_classes: classes of the task.
        folder: holds ``state.safetensors`` during training. If a state is there, training resumes from it; unfinished trials begin again.
        device: where to train.
        label: name of the run on the progress bar.

    Raises:
        Stopped: a signal asked the training to stop. The state has been saved, except during the trials.
    """
    training, state = _Training(settings, model, tokens, num_classes, device), folder / STATE
    trial = min(settings.start_steps, settings.num_steps) if settings.starts > 1 else 0
    others = trial * (settings.starts - 1)
    with tqdm(total=settings.num_steps + others, desc=f"V-probe {label}", unit="step", mininterval=1.0) as progress, remember_stops() as stop:

        def advance(course: _Course, last: int) -> None:
            while course.done < last:
                if stop.signals:
                    raise Stopped(stop.signals[0])
                training.step(course)
                progress.update()

        course, curve = training.begin(0), Curve(tokens, training.held, settings.num_steps)
        _restore(state, course, curve)
        if course.done:  # earlier steps count as done, but not towards the bar's speed
            progress.initial = progress.n = course.done + others
            progress.refresh()
        elif trial:
            courses = [course, *map(training.begin, range(1, settings.starts))]
            for one in courses:
                advance(one, trial)
            course = min(courses, key=lambda one: float(one.losses[trial - max(1, trial // 4) : trial].mean()))
        while course.done < settings.num_steps:
            try:
                saved_next = min(settings.num_steps, (course.done // settings.checkpoint_every + 1) * settings.checkpoint_every)
                advance(course, curve.next_after(course.done, saved_next))
            except Stopped:
                _save(state, course, curve)
                raise
            training.score(course, curve)
            if saved_next == course.done < settings.num_steps:
                _save(state, course, curve)
    state.unlink(missing_ok=True)
    return Trained(course.probe, course.losses.cpu().numpy(), curve)


def _save(path: Path, course: _Course, curve: Curve) -> None:
    """Save parameters, optimizer moments, losses and held-out answers; the old state stays until the new one is complete."""
    tensors = {"losses": course.losses[: course.done].clone(), "curve": curve.tensor()}
    for name, parameter in course.probe.named_parameters():
        tensors[name] = parameter.detach()
        for moment, value in course.optimizer.state[parameter].items():
            tensors[f"{name}.{moment}"] = value
    write_tensors(tensors, path, checked=True)


def _restore(path: Path, course: _Course, curve: Curve) -> None:
    """Load a saved state into a course, if there is one; a damaged one is reported and not used."""
    if not path.exists():
        return
    try:
        state = read_checked(path)
    except (OSError, ValueError, SafetensorError) as error:
        _log.warning("the state %s of a V-probe is damaged (%s); the probe is trained from its first step", path, error)
        return
    for name, parameter in course.probe.named_parameters():
        parameter.data.copy_(state[name])
        for key, value in state.items():
            if key.startswith(f"{name}."):
                moment = key.removeprefix(f"{name}.")
                course.optimizer.state[parameter][moment] = value if moment == "step" else value.to(parameter.device)
    losses = state["losses"]
    if curve.steps:
        curve.restore(state["curve"])
    course.done = len(losses)
    course.losses[: course.done] = losses
