"""Models of other architectures: those that compute the right states are taken, the others are refused by name and by what they cannot do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reference.foreign_models import SHAPES, make_foreign
from transformers import BloomConfig, BloomForCausalLM, MambaConfig, MambaForCausalLM

from igsm_pipeline.activations.forward import SequenceBatch, layer_states
from igsm_pipeline.errors import BadCheckpoint
from igsm_pipeline.model.decoding import complete
from igsm_pipeline.model.foreign import check_abilities
from igsm_pipeline.queries.sequences import Sequences

SEED = 29


@pytest.fixture(params=SHAPES)
def model(request: pytest.FixtureRequest) -> Any:
    made = make_foreign(request.param, 64, SEED)
    assert made.get_input_embeddings().weight.data_ptr() != made.get_output_embeddings().weight.data_ptr(), "weights that are not tied"
    return made


def test_pythia_and_llama_shapes_are_taken(model: Any, tmp_path: Path) -> None:
    check_abilities(model, tmp_path)


def test_their_completions_are_those_of_generate(model: Any) -> None:
    random = np.random.default_rng(SEED)
    prompts = [random.integers(1, 64, size) for size in (5, 3, 9, 5)]
    made = complete(model, prompts, max_tokens=6, eos=0)
    for prompt, tokens in zip(prompts, made.tokens, strict=True):
        written = model.generate(torch.tensor(prompt)[None], max_new_tokens=6, do_sample=False, eos_token_id=0, pad_token_id=0)[0, len(prompt) :]
        assert tokens.tolist() == written.tolist()


def test_their_states_of_shared_sequences_are_those_of_separate_ones(model: Any) -> None:
    ids = np.array([[7, 8, 9, 3, 4, 5, 6]])
    two = np.array([0, 0])
    sequences = Sequences(
        ids,
        np.array([[0, 1, 2, 3, 4, 3, 4]]),
        np.array([[-1, -1, -1, 0, 0, 1, 1]], np.int32),
        np.array([[0, 1, 2, 2, 2, 2, 2]], np.int32),
        two,
        np.array([4, 6]),
        np.array([2, 2]),
    )
    layers = tuple(range(model.config.num_hidden_layers + 1))
    found = layer_states(model, SequenceBatch.of(sequences, "cpu"), layers)
    for branch, end in (([3, 4], 4), ([5, 6], 6)):
        with torch.no_grad():
            alone = model(torch.tensor(ids[:, [0, 1, 2, *branch]]), output_hidden_states=True).hidden_states
        for layer in layers:
            torch.testing.assert_close(found[layer][0, end], alone[layer][0, -1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: BloomForCausalLM(BloomConfig(vocab_size=64, hidden_size=16, n_layer=2, n_head=2)), r"bloom \("),
        (lambda: MambaForCausalLM(MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=2, state_size=4)), r"mamba \("),
    ],
    ids=["positions from distances alone", "no attention"],
)
def test_what_an_architecture_cannot_do_is_refused_by_its_name(make: Any, said: str, tmp_path: Path) -> None:
    torch.manual_seed(SEED)
    with pytest.raises(BadCheckpoint, match=f"must be of an architecture that can .*{said}"):
        check_abilities(make().eval(), tmp_path)
