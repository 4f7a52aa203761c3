"""Greedy or sampled completions of many prompts: batched, with a key-value cache; finished rows leave the batch.

Prompts of similar length are decoded together. Prompts of equal length are read together without padding; decoding aligns all rows at the right end.
Positions count from each prompt's own start. Other rows change a row's result by floating-point rounding only.

On a GPU as many prompts are decoded together as its free memory has room for; where that was too many, half as many from then on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from igsm_pipeline.model.kv_cache import RoomyCache, joined
from igsm_pipeline.seeding import generator

T = TypeVar("T")
_LEAVE = 8
ROWS, CPU_ROWS = 512, 128
"""Most prompts that are decoded together on a GPU, and on a CPU."""
ROOM = 0.4
"""Share of a GPU's free memory that keys and values may take: while their room grows, old and new are there together."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Completions:
    """The completions that a model wrote.

    Attributes:
        tokens: the new ids of each prompt (uint32), including the end of text if it was written.
        finished: whether the end of text was written; shape (num_prompts,).
    """

    tokens: list[NDArray[np.uint32]]
    finished: NDArray[np.bool_]


def complete(
    model: PreTrainedModel,
    prompts: Sequence[NDArray[Any]],
    *,
    max_tokens: int,
    eos: int,
    max_length: int | None = None,
    batch_size: int = 0,
    temperature: float = 0.0,
    seed: int = 0,
    progress: Callable[[int], Any] = lambda finished: None,
) -> Completions:
    """Complete prompts greedily, or by drawing every token.

    Args:
        model: any causal model of transformers, in evaluation mode.
        prompts: ids per prompt, none empty.
        max_tokens: most new tokens of one completion.
        eos: id that ends a completion.
        max_length: most tokens of prompt and completion together; None: no limit.
        batch_size: prompts that are decoded together, 0 chooses; fewer where a GPU lacks memory. Results depend on it only where two logits
            tie, or a draw falls between two tokens.
        temperature: logits are divided by it before a token is drawn; 0: the likeliest is taken.
        seed: of the draws; each prompt has its own, by its number.
        progress: called with the number of prompts that were finished since its last call.
    """
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    tokens: list[NDArray[np.uint32]] = [np.zeros(0, np.uint32)] * len(prompts)

    def write(chosen: list[int], tell: Callable[[int], Any]) -> list[NDArray[np.uint32]]:
        pick = _Picks(temperature, [generator(seed, "sampling", index) for index in chosen if temperature])
        limits = [min(max_tokens, (max_length or 1 << 40) - len(prompts[index])) for index in chosen]
        return _write(model, [prompts[index] for index in chosen], np.array(limits), eos, pick, tell)

    size = batch_size or rows_together(model, len(prompts[order[-1]]) if order else 1, max_length)
    for chosen, written in in_batches(order, size, write, progress):
        for index, ids in zip(chosen, written, strict=True):
            tokens[index] = ids
    return Completions(tokens, np.array([len(ids) > 0 and int(ids[-1]) == eos for ids in tokens], dtype=bool))


def in_batches(
    order: Sequence[int], size: int, write: Callable[[list[int], Callable[[int], Any]], T], progress: Callable[[int], Any]
) -> Iterator[tuple[list[int], T]]:
    """Decode prompts batch by batch; one that the memory of a GPU cannot hold is begun again with half as many, and so are those after it.

    Args:
        order: numbers of the prompts, in the order in which they are decoded.
        size: of the first batch.
        write: decodes the prompts of the numbers given, and calls its second argument with how many it has finished.
        progress: is told so, and minus their number where they are begun again.

    Yields:
        The numbers of a batch, and what ``write`` returned.

    Raises:
        OutOfMemoryError: a single prompt does not fit.
    """
    first = 0
    while first < len(order):
        chosen, told = list(order[first : first + size]), list[int]()
        try:
            with torch.inference_mode():
                written = write(chosen, partial(_tell, progress, told))
        except torch.OutOfMemoryError:
            if len(chosen) == 1:
                raise
            progress(-sum(told))
            size = len(chosen) // 2
            _log.warning("%d prompts did not fit into the memory of the GPU; %d are decoded together from now on", len(chosen), size)
            continue
        yield chosen, written
        first += len(chosen)


def _tell(progress: Callable[[int], Any], told: list[int], finished: int) -> None:
    told.append(finished)
    progress(finished)


def rows_together(model: PreTrainedModel, longest: int, max_length: int | None) -> int:
    """How many prompts to decode together: on a GPU at most ``ROWS``, and no more than its free memory has room for.

    Args:
        model: the model, where it computes.
        longest: tokens of the longest prompt.
        max_length: most tokens of prompt and completion together; None: no limit.
    """
    if model.device.type != "cuda":
        return CPU_ROWS
    free, _ = torch.cuda.mem_get_info(model.device)
    free += torch.cuda.memory_reserved(model.device) - torch.cuda.memory_allocated(model.device)  # torch keeps it, and gives it out again
    return rows_that_fit(row_bytes(model.config, model.dtype.itemsize), longest, max_length, float(free))


def row_bytes(config: PreTrainedConfig, number: int) -> int:
    """Bytes of keys and values of one token, with ``number`` bytes each."""
    heads = int(config.num_attention_heads)
    width = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    return 2 * int(config.num_hidden_layers) * int(getattr(config, "num_key_value_heads", None) or heads) * width * number


def rows_that_fit(token: int, longest: int, max_length: int | None, free: float) -> int:
    """How many rows of keys and values fit into ``ROOM`` of the free bytes, at least 1 and at most ``ROWS``.

    Ours: a completion is taken to be as long as the longest prompt (a solution is half as long). One that gets longer may need a smaller batch,
    which is then tried.

    Args:
        token: bytes per token of a row.
        longest: tokens of the longest prompt.
        max_length: most tokens of prompt and completion together; None: no limit.
        free: free bytes.
    """
    return max(1, min(ROWS, int(ROOM * free / (token * min(max_length or 1 << 40, 2 * longest)))))


def read_prompts(model: PreTrainedModel, prompts: Sequence[NDArray[Any]]) -> tuple[RoomyCache, Tensor]:
    """Read prompts, sorted by length: the cache, aligned at the right end, and the logits after each prompt's last token, (batch, vocabulary)."""
    parts, logits = [], []
    for _, group in groupby(prompts, key=len):
        cache = RoomyCache()
        ids = torch.from_numpy(np.stack(list(group)).astype(np.int64)).to(model.device)
        logits.append(model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1])
        parts.append(cache)
    return joined(parts, len(prompts[-1])), torch.cat(logits)


def next_logits(model: PreTrainedModel, ids: Tensor, cache: RoomyCache, pads: Tensor, any_pads: bool) -> Tensor:
    """Compute the logits after one more token per row, (batch, vocabulary).

    Args:
        model: the model.
        ids: the tokens, shape (batch,).
        cache: grows by one position.
        pads: empty positions on the left of each row, shape (batch,).
        any_pads: whether any is not 0.
    """
    length = cache.get_seq_length()
    mask = None
    if any_pads:
        mask = (torch.arange(length + 1, device=ids.device) >= pads[:, None])[:, None, None, :]
    return model(  # type: ignore[no-any-return]
        input_ids=ids[:, None], attention_mask=mask, position_ids=(length - pads)[:, None], past_key_values=cache, use_cache=True
    ).logits[:, -1]


@dataclass(frozen=True)
class _Picks:
    """Chooses the next token of each row: the likeliest, or a draw of the row's own generator."""

    temperature: float
    draws: list[np.random.Generator]

    def __call__(self, logits: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Ids, (batch,), from logits, (batch, vocabulary), of some rows."""
        if not self.temperature:
            return logits.argmax(-1)
        reach = (logits.double() / self.temperature).softmax(-1).cumsum(-1)
        drawn = torch.tensor([self.draws[row].random() for row in rows.tolist()], dtype=torch.float64, device=logits.device)
        return (reach <= (drawn * reach[:, -1])[:, None]).sum(-1).clamp(max=logits.shape[-1] - 1)


def _write(
    model: PreTrainedModel, prompts: Sequence[NDArray[Any]], limits: NDArray[np.int64], eos: int, pick: _Picks, progress: Callable[[int], Any]
) -> list[NDArray[np.uint32]]:
    """Complete one batch of prompts, sorted by length."""
    cache, logits = read_prompts(model, prompts)
    longest = len(prompts[-1])
    pads = torch.tensor([longest - len(prompt) for prompt in prompts], device=model.device)
    any_pads = bool(pads.any())
    written = np.zeros((len(prompts), max(0, int(limits.max(initial=0)))), np.uint32)
    counts = np.zeros(len(prompts), np.int64)
    rows, live = np.arange(len(prompts)), limits > 0
    progress(int((~live).sum()))
    for step in range(written.shape[1]):
        ids = pick(logits, rows)
        chosen = ids.cpu().numpy()
        written[rows[live], step] = chosen[live]
        counts[rows[live]] += 1
        still = live & (chosen != eos) & (limits[rows] > step + 1)
        progress(int(live.sum() - still.sum()))
        live = still
        if not live.any():
            break
        if live.sum() <= len(rows) - max(1, len(rows) // _LEAVE):
            keep = torch.from_numpy(np.flatnonzero(live)).to(model.device)
            first = int(pads[keep].min())
            cache.keep_rows(keep, first)
            pads, ids = pads[keep] - first, ids[keep]
            any_pads = bool(pads.any())
            rows, live = rows[live], np.ones(int(live.sum()), dtype=bool)
        logits = next_logits(model, ids, cache, pads, any_pads)
    return [written[row, : counts[row]].copy() for row in range(len(prompts))]
