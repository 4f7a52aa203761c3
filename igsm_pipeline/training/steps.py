"""One optimizer step: micro-batches, the loss at positions with a label, gradients summed over processes.

The loss of a step is the mean over all tokens with a label in the global batch, however it is cut into micro-batches and spread over processes:
each part adds its sum, one all-reduce adds the parts and the token counts, and one division follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from igsm_pipeline.training.batches import IGNORED

PART_TOKENS = 2048
"""Most tokens of a micro-batch on a CPU: more are not faster, and so many activations fit the caches."""


@dataclass(frozen=True)
class StepResult:
    """The result of a step: mean loss in nats per token, tokens with a label, all tokens, and the gradient's norm before clipping."""

    loss: float
    loss_tokens: int
    tokens: int
    grad_norm: float


def micro_batches(
    windows: NDArray[Any], labels: NDArray[np.int64], lengths: NDArray[Any], size: int, *, whole: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut a batch into micro-batches whose windows have similar lengths.

    Args:
        windows: ids, shape (batch, window).
        labels: shape (batch, window - 1).
        lengths: real tokens per window, shape (batch,).
        size: most windows of a micro-batch; the batch is cut into as few, equally large ones as possible. 0: see ``equal_work``.
        whole: keep the padding that all windows of a micro-batch share, and fill the last one up with rows without labels: one
            shape for all.

    Yields:
        ids, shape (micro, longest - 1), and labels of the same shape.
    """
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    each = 0
    if size:
        each = max(1, -(-len(order) // max(1, -(-len(order) // size))))
        firsts = list(range(0, len(order), each))
    else:
        firsts = equal_work(lengths[order].astype(np.int64))
    for first, end in pairwise([*firsts, len(order)]):
        rows = order[first:end]
        longest = windows.shape[1] if whole else max(2, int(lengths[rows].max()))
        ids, wanted = windows[rows, : longest - 1].astype(np.int64), labels[rows, : longest - 1]
        if whole and len(rows) < each:
            spare = ((0, each - len(rows)), (0, 0))
            ids, wanted = np.pad(ids, spare), np.pad(wanted, spare, constant_values=IGNORED)
        yield torch.from_numpy(ids), torch.from_numpy(wanted)


def equal_work(lengths: NDArray[np.int64]) -> list[int]:
    """Where to cut windows, sorted from long to short, into an even number of parts of similar size, at most ``PART_TOKENS`` tokens with padding.

    The number is even so that two threads end together; the parts do not depend on the number of threads.

    Returns:
        The first window of every part, ascending from 0; empty without windows. A window that is too long for a part is a part of its own.
    """
    if not len(lengths):
        return []
    number = len(_cut(lengths, PART_TOKENS))
    number += number % 2
    low, high = int(lengths[0]), int(lengths[0]) * len(lengths)
    while low < high:  # find the smallest size with which this many parts are enough
        middle = (low + high) // 2
        if len(_cut(lengths, middle)) > number:
            low = middle + 1
        else:
            high = middle
    return _cut(lengths, low)


def _cut(lengths: NDArray[np.int64], most: int) -> list[int]:
    """The first windows of the parts, if they are filled one after the other with at most ``most`` tokens each."""
    firsts, first = [], 0
    while first < len(lengths):
        firsts.append(first)
        first += max(1, most // max(1, int(lengths[first])))
    return firsts


def loss_sum(backbone: Callable[..., Any], head: nn.Module, ids: Tensor, labels: Tensor) -> Tensor:
    """Sum the cross-entropy over the positions with a label; logits are computed only there. Returns a float32 scalar."""
    hidden = backbone(input_ids=ids, use_cache=False).last_hidden_state
    wanted = labels != IGNORED
    logits = head(hidden[wanted])
    return F.cross_entropy(logits.float(), labels[wanted], reduction="sum")


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The context of mixed precision; for fp32 it does nothing."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def reduce_gradients(parameters: list[nn.Parameter], totals: Tensor) -> None:
    """Add gradients and totals (float64) over all processes, in place; a single process does nothing."""
    if not dist.is_initialized():
        return
    dist.all_reduce(totals)
    flat = torch.cat([parameter.grad.reshape(-1) for parameter in parameters if parameter.grad is not None])
    dist.all_reduce(flat)
    place = 0
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.copy_(flat[place : place + parameter.numel()].view_as(parameter.grad))
            place += parameter.numel()
