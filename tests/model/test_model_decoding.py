"""Completion equals whole forward passes, one sequence at a time, whatever the batch: their argmax, or draws from what they say."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import GPTNeoXForCausalLM

from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.decoding import complete, row_bytes, rows_that_fit, rows_together
from igsm_pipeline.model.device import pick_device, sent
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.seeding import generator

VOCAB, EOS = 23, 19
SEED = 5


@pytest.fixture(scope="module")
def model() -> GPTNeoXForCausalLM:
    """Large weights: varied text in which the end comes now and then."""
    made = gpt2_rotary.build(ModelSettings(layers=2, heads=2, head_width=16, partial_rotary_factor=0.5), VOCAB, 128, SEED).eval()
    noise = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=noise) * 0.25)
    return made


@pytest.fixture(scope="module")
def prompts() -> list[NDArray[np.int64]]:
    rng = np.random.default_rng(SEED)
    return [rng.integers(0, VOCAB, rng.integers(1, 20)) for _ in range(24)]


def write_slowly(model: GPTNeoXForCausalLM, prompt: NDArray[np.int64], num_tokens: int) -> list[int]:
    """One whole pass per token, no cache."""
    ids = prompt.tolist()
    with torch.no_grad():
        while len(ids) < len(prompt) + num_tokens and (len(ids) == len(prompt) or ids[-1] != EOS):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("batch_size", [1, 5, 24])
def test_equals_argmax_without_cache_for_every_batch_size(model: GPTNeoXForCausalLM, prompts: list[NDArray[np.int64]], batch_size: int) -> None:
    reports: list[int] = []
    found = complete(model, prompts, max_tokens=30, eos=EOS, batch_size=batch_size, progress=reports.append)
    wanted = [write_slowly(model, prompt, 30) for prompt in prompts]
    assert [ids.tolist() for ids in found.tokens] == wanted
    assert found.finished.tolist() == [ids[-1] == EOS for ids in wanted]
    assert 0 < found.finished.sum() < len(prompts)
    assert sum(reports) == len(prompts)


@pytest.mark.parametrize("batch_size", [1, 5, 24])
def test_draws_are_each_prompts_own_and_those_of_whole_passes_for_every_batch_size(
    model: GPTNeoXForCausalLM, prompts: list[NDArray[np.int64]], batch_size: int
) -> None:
    found = complete(model, prompts, max_tokens=30, eos=EOS, batch_size=batch_size, temperature=0.7, seed=3)
    for number, prompt in enumerate(prompts):
        ids, draws = prompt.tolist(), generator(3, "sampling", number)
        with torch.no_grad():
            while len(ids) < len(prompt) + 30 and (len(ids) == len(prompt) or ids[-1] != EOS):
                logits = model(torch.tensor([ids])).logits[0, -1].double().numpy() / 0.7
                shares = np.exp(logits - logits.max())
                reach = np.cumsum(shares)
                ids.append(int(np.searchsorted(reach, draws.random() * reach[-1], side="right")))
        assert found.tokens[number].tolist() == ids[len(prompt) :], number
    greedy, other = (complete(model, prompts, max_tokens=30, eos=EOS, **how) for how in ({}, {"temperature": 0.7, "seed": 4}))
    assert all(any(one.tolist() != two.tolist() for one, two in zip(found.tokens, made.tokens, strict=True)) for made in (greedy, other))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_as_often_as_the_model_says(model: GPTNeoXForCausalLM, prompts: list[NDArray[np.int64]], temperature: float) -> None:
    drawn = 4000
    found = complete(model, [prompts[0]] * drawn, max_tokens=1, eos=EOS, temperature=temperature)
    with torch.no_grad():
        shares = (model(torch.tensor(prompts[:1][0][None])).logits[0, -1] / temperature).softmax(-1).double().numpy()
    counts = np.bincount([int(ids[0]) for ids in found.tokens], minlength=VOCAB)
    common = shares * drawn >= 5
    expected = np.append(shares[common], shares[~common].sum()) * drawn
    seen = np.append(counts[common], counts[~common].sum())
    chi2 = float(((seen - expected) ** 2 / np.maximum(expected, 1e-9)).sum())
    print(temperature, chi2, len(seen))
    assert chi2 < len(seen) + 5 * (2 * len(seen)) ** 0.5


def test_whole_length_is_bounded_per_prompt(model: GPTNeoXForCausalLM, prompts: list[NDArray[np.int64]]) -> None:
    found = complete(model, prompts, max_tokens=30, max_length=15, eos=EOS)
    assert [ids.tolist() for ids in found.tokens] == [write_slowly(model, prompt, max(0, 15 - len(prompt))) for prompt in prompts]


def test_no_prompts_give_no_completions(model: GPTNeoXForCausalLM) -> None:
    found = complete(model, [], max_tokens=3, eos=EOS)
    assert (found.tokens, found.finished.shape) == ([], (0,))


def test_memory_that_torch_keeps_and_gives_out_again_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """After training steps nearly all of a GPU is torch's; a look at the accuracy must not decode row by row for that."""
    card = SimpleNamespace(device=torch.device("cuda", 0), dtype=torch.float32, config=ModelShape)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2 << 30, 80 << 30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 70 << 30)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 4 << 30)
    token = row_bytes(ModelShape, 4)  # type: ignore[arg-type]
    assert rows_together(card, 500, 2048) == rows_that_fit(token, 500, 2048, 68 << 30)  # type: ignore[arg-type]
    assert rows_that_fit(token, 500, 2048, 68 << 30) > 10 * rows_that_fit(token, 500, 2048, 2 << 30)


class ModelShape:
    """GPT2-12-12."""

    num_hidden_layers, num_attention_heads, hidden_size = 12, 12, 768


def test_what_is_sent_to_a_gpu_is_pinned_and_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    values, calls = torch.arange(3), []
    assert sent(values, torch.device("cpu")) is values
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda one: calls.append("pinned") or one)
    monkeypatch.setattr(torch.Tensor, "to", lambda one, device, **how: calls.append((device.type, how)) or one)
    sent(values, torch.device("cuda", 0))
    assert calls == ["pinned", ("cuda", {"non_blocking": True})]


def test_a_gpu_without_a_number_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "zeros", lambda *_size, device: device)
    assert pick_device("cuda", 3) == torch.device("cuda", 3)
    assert pick_device("cuda:1", 3) == torch.device("cuda", 1)
    assert pick_device("cpu", 3) == torch.device("cpu")
