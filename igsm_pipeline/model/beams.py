"""Completions by beam search with sampling; transformers' own ``generate`` does the search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from igsm_pipeline import seeding
from igsm_pipeline.model.decoding import Completions

BATCH_PROMPTS = 32
"""Prompts that are decoded together. It is fixed, because a batch's random draws depend on it."""


def complete_with_beams(
    model: PreTrainedModel,
    prompts: Sequence[NDArray[Any]],
    *,
    beams: int,
    max_length: int,
    eos: int,
    seed: int,
    progress: Callable[[int], Any] = lambda finished: None,
) -> Completions:
    """Complete prompts by beam search with sampling; arguments as for ``complete``, ``beams`` at least 2.

    Prompts of equal length are decoded together. The random draws depend on the seed and the prompts alone.
    """
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    tokens: list[NDArray[np.uint32]] = [np.zeros(0, np.uint32)] * len(prompts)
    start = 0
    while start < len(order):
        length = len(prompts[order[start]])
        stop = start
        while stop < len(order) and stop - start < BATCH_PROMPTS and len(prompts[order[stop]]) == length:
            stop += 1
        chosen = order[start:stop]
        ids = torch.from_numpy(np.stack([prompts[index] for index in chosen]).astype(np.int64)).to(model.device)
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeding.torch_seed(seed, "beams", start))
            written = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_length=max_length, num_beams=beams, do_sample=True, eos_token_id=eos, pad_token_id=eos
            )
        for index, row in zip(chosen, written[:, length:].cpu().numpy(), strict=True):
            ends = np.flatnonzero(row == eos)
            tokens[index] = row[: ends[0] + 1 if len(ends) else len(row)].astype(np.uint32)
        progress(len(chosen))
        start = stop
    return Completions(tokens, np.array([len(ids) > 0 and int(ids[-1]) == eos for ids in tokens], dtype=bool))
