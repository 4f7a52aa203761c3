"""Steering: pushes follow the probe's gradient, controls are as large, parameters are useless, effects are those of a computation by layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from igsm_pipeline.activations.forward import SequenceBatch, freeze
from igsm_pipeline.interventions.residual import pushed, random_like, read_stream, sites
from igsm_pipeline.interventions.steering import Useless, _by_length, _gradients, _names, find_useless, steer
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.probes.v_probe import load_probe
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block
from igsm_pipeline.queries.facts import parameter_of_code
from igsm_pipeline.queries.labels import label_query
from igsm_pipeline.queries.sequences import SHARED
from igsm_pipeline.seeding import generator
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.world import load_world

PUBLISHED = Path(__file__).parents[2] / "data" / "published" / "small"
FAMILY = FamilySettings(op_max=5, ip_max=6, modulus=5, num_symbols=10, format="qp", op_law="uniform", split_by="problem")


@pytest.fixture(scope="module")
def batch() -> Any:
    torch.set_num_threads(1)
    return generate_block(
        ProblemSetSettings(family=FAMILY, law="exact", op=5, num_problems=96, block_size=96, stream="steering"), load_world("mini"), 0
    )


@pytest.fixture(scope="module")
def table() -> Any:
    return build_table(load_world("mini"), 5, TokenSettings(segmentation="phrase", vocab="compact"))


@pytest.fixture(scope="module")
def useless(batch: Any, table: Any) -> Useless:
    return find_useless(batch, table, FAMILY)


@pytest.fixture(scope="module")
def model() -> Any:
    return freeze(load(PUBLISHED))


@pytest.fixture(scope="module")
def probe() -> Any:
    return load_probe(PUBLISHED / "probes" / "nece-trained")


def test_a_and_b_are_two_parameters_that_can_be_computed_at_once_and_are_not_needed(batch: Any, useless: Useless) -> None:
    problems = list(batch)
    assert len(useless.rows) > 20
    for place, row in enumerate(useless.rows.tolist()):
        asked = [one.queries.slice(place, 1).to_pylist()[0] for one in useless.asked]
        assert [one["problem"] for one in asked] == [row, row]
        names = [parameter_of_code(batch.records[row], one["parameter"]) for one in asked]
        assert names[0] != names[1]
        for name in names:
            assert label_query(problems[row], "can_next", 0, name) == 1
            assert label_query(problems[row], "nece", 0, name) == 0


def test_the_gradient_is_that_of_small_changes_of_the_states(model: Any, probe: Any, useless: Useless) -> None:
    print("seed 7")
    places = _by_length(useless)[0][1][:2]
    found = _gradients(model, probe, useless.asked[0], places, [0, 3, 7])
    packed = SequenceBatch.of(useless.asked[0].pack(places), "cpu")
    for layer, gradient in found.items():
        way = torch.zeros((*packed.ids.shape, gradient.shape[-1]))
        way[:, : gradient.shape[1]] = torch.from_numpy(np.random.default_rng(7).standard_normal(gradient.shape).astype(np.float32))
        said = []
        for step in (0.01, -0.01):
            with torch.no_grad(), pushed(sites(model)[layer], step * way * (packed.branch == SHARED)[..., None]):
                logits = probe(model, packed).double()
            said.append(logits[:, 1] - logits[:, 0])
        expected = (gradient * way[:, : gradient.shape[1]]).sum((1, 2)).double()
        torch.testing.assert_close((said[0] - said[1]) / 0.02, expected, rtol=0.05, atol=0.02)


def test_random_pushes_are_as_large_at_every_position_and_drawn_by_the_seed(model: Any, probe: Any, useless: Useless) -> None:
    gradient = _gradients(model, probe, useless.asked[0], _by_length(useless)[0][1][:2], [2])[2]
    one, same, other = (random_like(gradient, generator(seed, "steering layer 2", 3)) for seed in (0, 0, 1))
    torch.testing.assert_close(one.norm(dim=-1), gradient.norm(dim=-1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def pushed_by_hand(model: Any, ids: torch.Tensor, push: torch.Tensor, layer: int) -> torch.Tensor:
    """Logits after the last token, computed layer by layer on GPT-NeoX's own modules, without hooks."""
    network = model.gpt_neox
    positions, states = torch.arange(ids.shape[1])[None], network.embed_in(ids)
    rotary = network.rotary_emb(states, positions)
    mask = torch.full((ids.shape[1], ids.shape[1]), float("-inf")).triu(1)[None, None]
    for number in range(len(network.layers) + 1):
        if number:
            states = network.layers[number - 1](states, attention_mask=mask, position_ids=positions, position_embeddings=rotary)
        if number == layer:
            states = states + push
    return model.lm_head(network.final_layer_norm(states))[:, -1]


def test_effects_are_those_of_a_computation_layer_by_layer_and_no_push_changes_nothing(model: Any, probe: Any, table: Any, useless: Useless) -> None:
    stop = int(table.fragment_ids(" as")[0])
    few = Useless(useless.rows[:24], tuple(_first(one, 24) for one in useless.asked))  # type: ignore[arg-type]
    made = steer(model, probe, few, layers=[2, 6], strengths=[0.0, 0.2], stop=stop)
    assert sum(len(one.rows) for one in made) >= 8
    place_of = {row: place for place, row in enumerate(few.rows.tolist())}
    checked = 0
    for one in made:
        assert set(one.effects) == {(push, layer, strength) for push in ("probe", "other", "random") for layer in (2, 6) for strength in (0.0, 0.2)}
        for push in ("probe", "other", "random"):
            assert one.effects[push, 2, 0.0].kept.all()
            assert np.allclose(one.effects[push, 2, 0.0].shift, 0, atol=1e-5)
        for at, row in enumerate(one.rows.tolist()[:2]):
            place = np.array([place_of[row]])
            ((twins, _),) = _by_length(Useless(few.rows[place], tuple(_first(each, 1, place[0]) for each in few.asked)))  # type: ignore[arg-type]
            prompt, wanted = torch.from_numpy(twins.own), _names(few.asked[0], place, stop)[0].tolist()
            name: list[int] = []
            while len(name) < 16 and (not name or name[-1] != stop):
                name.append(int(model(torch.cat([prompt, torch.tensor([name], dtype=torch.long)], 1)).logits[0, -1].argmax()))
            shared = next(number for number in range(16) if name[number] != wanted[number])
            ids = torch.cat([prompt, torch.tensor([name[:shared]], dtype=torch.long)], 1)
            for layer in (2, 6):
                gradient = _gradients(model, probe, few.asked[0], place, [layer])[layer]
                states = read_stream(model, ids)[layer][:, : gradient.shape[1]]
                push = torch.zeros(1, ids.shape[1], gradient.shape[2])
                push[:, : gradient.shape[1]] = 0.2 * gradient * states.norm() / gradient.norm()
                with torch.no_grad():
                    before, after = (pushed_by_hand(model, ids, strength * push, layer)[0] for strength in (0.0, 1.0))
                effect = one.effects["probe", layer, 0.2]
                tokens = name[shared], wanted[shared]
                assert (effect.kept[at], effect.swapped[at]) == tuple(int(after.argmax()) == token for token in tokens)
                moved = (after[tokens[1]] - after[tokens[0]]) - (before[tokens[1]] - before[tokens[0]])
                assert effect.shift[at] == pytest.approx(float(moved), abs=2e-3)
                checked += 1
    assert checked >= 4


def _first(asked: Any, number: int, start: int = 0) -> Any:
    return type(asked)(asked.batch, asked.queries.slice(int(start), number), asked.documents, asked.table)
