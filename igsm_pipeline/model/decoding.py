"""Greedy completions of many prompts: batched, with a key-value cache; finished rows leave the batch.

Prompts of similar length are decoded together. Prompts of equal length are read together without padding; decoding aligns all rows at the right end.
Positions count from each prompt's own start. Other rows change a row's result by floating-point rounding only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from igsm_pipeline.model.kv_cache import RoomyCache, joined

_LEAVE = 8


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
    progress: Callable[[int], Any] = lambda finished: None,
) -> Completions:
    """Complete prompts greedily.

    Args:
        model: any causal model of transformers, in evaluation mode.
        prompts: ids per prompt, none empty.
        max_tokens: most new tokens of one completion.
        eos: id that ends a completion.
        max_length: most tokens of prompt and completion together; None: no limit.
        batch_size: prompts that are decoded together, 0 chooses; results depend on it only where two logits tie.
        progress: called with the number of prompts that were finished since its last call.
    """
    size = batch_size or (512 if model.device.type == "cuda" else 128)
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    tokens: list[NDArray[np.uint32]] = [np.zeros(0, np.uint32)] * len(prompts)
    with torch.inference_mode():
        for first in range(0, len(order), size):
            chosen = order[first : first + size]
            limits = [min(max_tokens, (max_length or 1 << 40) - len(prompts[index])) for index in chosen]
            written = _greedy(model, [prompts[index] for index in chosen], np.array(limits), eos, progress)
            for index, ids in zip(chosen, written, strict=True):
                tokens[index] = ids
    return Completions(tokens, np.array([len(ids) > 0 and int(ids[-1]) == eos for ids in tokens], dtype=bool))


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


def _greedy(
    model: PreTrainedModel, prompts: Sequence[NDArray[Any]], limits: NDArray[np.int64], eos: int, progress: Callable[[int], Any]
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
        ids = logits.argmax(-1)
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
