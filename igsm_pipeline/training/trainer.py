"""A model with its optimizers, and one step of both: the gradients of a batch, their sum over processes, the update.

Ours: how a batch is computed on a CPU (``packed``, ``lanes``) and on a GPU (``one_graph``); between two logged steps nothing waits for a GPU.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from igsm_pipeline import seeding
from igsm_pipeline.errors import BadSettings, StageFailed
from igsm_pipeline.model.compiling import NOT_COMPILED, reason
from igsm_pipeline.model.device import sent
from igsm_pipeline.model.gpt2_rotary import fuse_activations
from igsm_pipeline.training.lanes import Lanes
from igsm_pipeline.training.one_graph import WindowLoss, compiles
from igsm_pipeline.training.optimizers import learning_rate, make_optimizers, set_learning_rate
from igsm_pipeline.training.packed import can_pack, packed_loss_sum
from igsm_pipeline.training.processes import Ranks
from igsm_pipeline.training.settings import TrainingSettings
from igsm_pipeline.training.steps import StepResult, autocast, loss_sum, micro_batches, reduce_gradients

Batch = tuple[NDArray[Any], NDArray[np.int64], NDArray[Any]]
"""Windows of ids (batch, window), their labels (batch, window - 1), and the real tokens of each (batch,)."""
_log = logging.getLogger(__name__)


class Abandoned(Exception):
    """A step was abandoned between two micro-batches; weights and moments are as before it."""


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
        ids, wanted = (sent(one, self.ranks.device) for one in (ids, wanted))
        with autocast(self.ranks.device, self.settings.precision):
            if self.graph is not None:
                loss = self.graph(ids, wanted)
            else:
                loss = loss_sum(self.model.base_model, self.model.get_output_embeddings(), ids, wanted)
        return self.scaler.scale(loss / scale), loss

    def _until_abandoned(self, parts: Iterable[tuple[Tensor, Tensor]], scale: int) -> Iterator[tuple[Tensor, Tensor, int]]:
        for ids, wanted in parts:
            if self.abandons():
                raise Abandoned
            yield ids, wanted, scale

    def _gradients(self, batch: Batch, scale: int) -> Tensor:
        """Add up the gradients of a batch. Returns the summed loss, float64. What does not compile here is computed without compiling."""
        windows, labels, lengths = batch
        size = self.settings.micro_batch or default_micro_batch(self.ranks.device, windows.shape[1], whole=self.compiled)
        while True:
            parts = micro_batches(windows, labels, lengths, size, whole=self.compiled)
            try:
                return self.lanes.accumulate(self._until_abandoned(parts, scale))
            except NOT_COMPILED as error:
                if not self.compiled:
                    raise
                self.compiled, self.graph = False, WindowLoss(self.model)
                _log.warning("training is not compiled, for compiling failed (%s); it takes longer", reason(error))
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
        counts = sent(torch.tensor([float((labels >= 0).sum()), float(lengths.sum())], dtype=torch.float64), device)
        loss = self._gradients(batch, scale)
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
