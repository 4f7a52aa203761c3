"""Completions by beam search with sampling; transformers' own ``generate`` does the search."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from igsm_pipeline import seeding
from igsm_pipeline.model.decoding import Completions

EQUAL, SIMILAR = 32, 48
"""Prompts of equal and of similar length that are decoded together at most. Both are fixed, because a batch's random draws depend on them."""


def complete_with_beams(
    model: PreTrainedModel,
    prompts: Sequence[NDArray[Any]],
    *,
    beams: int,
    max_length: int,
    eos: int,
    seed: int,
    mixed_lengths: bool = True,
    sample: bool = True,
    progress: Callable[[int], Any] = lambda finished: None,
) -> Completions:
    """Complete prompts by beam search with sampling.

    Prompts of similar length are decoded together, padded on the left. The random draws depend on the seed and on all prompts.

    Args:
        model, prompts, max_length, eos, progress: as for ``complete``. A completion that gets longer is cut there; a prompt as long as
            that has none.
        beams: at least 2.
        seed: of the draws.
        mixed_lengths: False decodes only prompts of equal length together, which takes many more passes.
        sample: False searches without draws.
    """
    lengths = np.array([len(prompt) for prompt in prompts], np.int64)
    tokens: list[NDArray[np.uint32]] = [np.zeros(0, np.uint32)] * len(prompts)
    fits = np.flatnonzero(lengths < max_length)
    progress(len(prompts) - len(fits))
    start = 0
    for batch in batches_of(lengths[fits], mixed_lengths=mixed_lengths):
        chosen = fits[batch]
        longest, shortest = int(lengths[chosen].max()), int(lengths[chosen].min())
        ids = np.full((len(chosen), longest), eos, np.int64)
        for row, index in enumerate(chosen):
            ids[row, longest - lengths[index] :] = prompts[index]
        mask = np.arange(longest) >= longest - lengths[chosen][:, None]
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeding.torch_seed(seed, "beams", start))
            written = model.generate(
                torch.from_numpy(ids).to(model.device),
                attention_mask=torch.from_numpy(mask.astype(np.int64)).to(model.device),
                max_length=longest + max_length - shortest,
                num_beams=beams,
                do_sample=sample,
                eos_token_id=eos,
                pad_token_id=eos,
            )
        for index, row in zip(chosen, written[:, longest:].cpu().numpy(), strict=True):
            ends = np.flatnonzero(row == eos)
            length = min(ends[0] + 1 if len(ends) else len(row), max_length - lengths[index])
            tokens[index] = row[:length].astype(np.uint32)
        progress(len(chosen))
        start += len(chosen)
    return Completions(tokens, np.array([len(ids) > 0 and int(ids[-1]) == eos for ids in tokens], dtype=bool))


def batches_of(lengths: NDArray[np.int64], *, mixed_lengths: bool = True) -> Iterator[NDArray[np.int64]]:
    """Which prompts are decoded together: at most ``SIMILAR``, in the order of their lengths, or ``EQUAL`` of one length."""
    order = np.argsort(lengths, kind="stable")
    most = SIMILAR if mixed_lengths else EQUAL
    groups = [order] if mixed_lengths else np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1)
    for group in groups:
        yield from (group[first : first + most] for first in range(0, len(group), most))
