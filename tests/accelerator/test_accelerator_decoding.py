"""Decoding takes what fits into a GPU's memory, for every size of the paper, and halves its batch where it does not."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPTNeoXConfig, PreTrainedModel

from benchmarks.beams import count_passes
from igsm_pipeline.costs import DECODED_TOGETHER, DECODING_BYTES
from igsm_pipeline.experiments import find_members
from igsm_pipeline.model import decoding, gpt2_rotary
from igsm_pipeline.model.decoding import ROOM, ROWS, complete, row_bytes, rows_that_fit
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.planning.speeds import H100

SIZES = sorted({(one.settings.model.layers, one.settings.model.heads) for one in find_members(["depth_med", "depth_hard"])})
LONGEST, LIMIT = 1100, 2048  # tokens of a long prompt of hard; evaluation.max_tokens
VOCAB = 31


def test_keys_and_values_of_a_row_have_the_bytes_that_a_cache_of_the_model_takes() -> None:
    model = gpt2_rotary.build(ModelSettings(layers=3, heads=2, head_width=8), VOCAB, 64, 3).eval()
    with torch.inference_mode():
        cache, _ = decoding.read_prompts(model, [np.arange(10) % VOCAB])
    taken = sum(layer.keys[:, :, : layer.length].nbytes + layer.values[:, :, : layer.length].nbytes for layer in cache.layers)
    assert row_bytes(model.config, 4) * 10 == taken


@pytest.mark.parametrize(("layers", "heads"), SIZES)
@pytest.mark.parametrize("longest", [700, LONGEST])
def test_the_batch_of_every_size_of_the_paper_fits_beside_its_weights(layers: int, heads: int, longest: int) -> None:
    assert len(SIZES) == 10, "ten sizes, med and hard: twenty"
    settings = ModelSettings(layers=layers, heads=heads)
    config = GPTNeoXConfig(hidden_size=settings.width, num_hidden_layers=layers, num_attention_heads=heads)
    token, weights = row_bytes(config, 4), 4 * 12 * layers * settings.width**2
    rows = rows_that_fit(token, longest, LIMIT, H100.memory - weights)
    assert 32 <= rows <= ROWS
    taken = rows * token * min(LIMIT, 2 * longest)
    assert 2 * taken + weights < H100.memory, "also while their room grows and old and new are there"
    assert rows == ROWS or taken > 0.9 * ROOM * (H100.memory - weights), "and no memory is left unused"


def test_beams_take_at_most_twelve_times_the_passes_of_greedy() -> None:
    greedy, similar, equal = count_passes()
    print(f"passes: greedy {greedy}, beams {similar}, with prompts of equal length alone {equal}")
    assert greedy < similar <= 12 * greedy < equal


def test_plans_of_every_size_fit_into_eighty_gigabytes() -> None:
    assert (ROWS, ROOM * H100.memory) == (DECODED_TOGETHER, DECODING_BYTES)
    seen = 0
    for member in find_members(["depth_med", "depth_hard"]):
        for unit in units_of(member):
            if unit.stage in ("generations", "checkpoint"):
                seen += unit.stage == "checkpoint"
                assert STAGES[unit.stage].memory(unit) < H100.memory, f"{member.key} {unit.name}"
    assert seen == 40, "ten sizes, two families, two seeds"


def test_a_batch_that_does_not_fit_is_halved_and_its_prompts_are_decoded_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model: PreTrainedModel = gpt2_rotary.build(ModelSettings(layers=1, heads=2, head_width=8), VOCAB, 64, 3).eval()
    rng = np.random.default_rng(0)
    prompts = [rng.integers(1, VOCAB, size) for size in rng.integers(3, 9, 11)]
    wanted = complete(model, prompts, max_tokens=6, eos=0)
    plain, sizes = decoding.next_logits, []

    def narrow(model: PreTrainedModel, ids: Any, *rest: Any) -> Any:
        sizes.append(len(ids))
        if len(ids) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(model, ids, *rest)

    monkeypatch.setattr(decoding, "next_logits", narrow)
    told: list[int] = []
    with caplog.at_level(logging.WARNING):
        found = complete(model, prompts, max_tokens=6, eos=0, progress=told.append)
    assert [one.tolist() for one in found.tokens] == [one.tolist() for one in wanted.tokens]
    assert sum(told) == len(prompts)
    assert [size for size in sizes if size > 3] == [11, 5], "eleven, five, then two at a time"
    assert caplog.text.count("decoded together from now on") == 2
    monkeypatch.setattr(decoding, "next_logits", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(torch.OutOfMemoryError):
        complete(model, prompts[:1], max_tokens=6, eos=0)
