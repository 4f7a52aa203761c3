"""Interchange: what is exchanged is what is meant, effects are those of a computation layer by layer, pairs are those that can be told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from igsm_pipeline.errors import BadCheckpoint, BadInput
from igsm_pipeline.interventions.effects import effect_rows
from igsm_pipeline.interventions.interchange import Effect, Exchanged, interchange
from igsm_pipeline.interventions.residual import read_stream, replaced, sites
from igsm_pipeline.interventions.settings import DONORS, PLACES
from igsm_pipeline.interventions.twins import Twins, pair
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.world import load_world

PUBLISHED = Path(__file__).parents[2] / "data" / "published" / "small"
FAMILY = FamilySettings(op_max=5, ip_max=6, modulus=5, num_symbols=10, format="qp", op_law="uniform", split_by="problem")


def twin_batches(number: int, **family: Any) -> list[Any]:
    asked = {"family": FAMILY.model_copy(update=family), "law": "exact", "op": 5, "num_problems": number, "block_size": number, "stream": "twins"}
    return [generate_block(ProblemSetSettings(**asked, reask=reask), load_world("mini"), 0) for reask in (False, True)]


@pytest.fixture(scope="module")
def table() -> Any:
    return build_table(load_world("mini"), 5, TokenSettings(segmentation="phrase", vocab="compact"))


@pytest.fixture(scope="module")
def model() -> Any:
    return load(PUBLISHED)


@pytest.fixture(scope="module")
def groups(table: Any) -> list[Twins]:
    return pair(*twin_batches(48), table, "qp")


def tiny(kind: str) -> Any:
    torch.manual_seed(3)
    if kind == "gpt2":
        return GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=3, n_head=2, n_positions=64)).eval()
    config = LlamaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, intermediate_size=32)
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_states_of_another_text_at_all_positions_of_any_site_give_its_logits(kind: str) -> None:
    print("seed 3")
    model, ids = tiny(kind), torch.from_numpy(np.random.default_rng(3).integers(0, 50, (2, 2, 9)))
    everywhere = torch.ones((2, 9), dtype=torch.bool)
    with torch.inference_mode():
        wanted, plain = model(ids[1]).logits, model(ids[0]).logits
        stream = read_stream(model, ids[1])
        assert stream.shape == (4, 2, 9, 16)
        for site, states in zip(sites(model), stream, strict=True):
            with replaced(site, everywhere, states):
                torch.testing.assert_close(model(ids[0]).logits, wanted)
        torch.testing.assert_close(model(ids[0]).logits, plain)


def test_a_model_whose_layers_stand_in_no_list_is_refused() -> None:
    model = tiny("gpt2")
    model.config.n_layer = 7
    with pytest.raises(BadCheckpoint, match="7 layers in one list"):
        sites(model)


@pytest.mark.parametrize("format", ["qp", "pq"])
def test_places_cut_the_prompt_where_the_words_do(table: Any, format: Any) -> None:
    seen = 0
    for twins in pair(*twin_batches(48), table, format):
        for row in range(len(twins)):
            words = {place: table.decode(twins.own[row][twins.places[place][row]], specials=True) for place in PLACES}
            assert words["marker"] == "<|solution|>"
            assert words["define"] == " Define"
            whole = table.decode(twins.own[row], specials=True)
            assert whole.endswith(words["all"])
            assert words["all"] == words["question"] + words["after"]
            assert words["after"] == words["statements"] + words["marker"] + words["define"]
            assert words["question"] in whole[whole.index(" How many") :]
            assert words["statements"].count("equals") == (whole.count("equals") if format == "qp" else 0)
            other = table.decode(twins.other[row], specials=True)
            assert (whole == other, whole.replace(words["question"], "", 1) != whole) == (False, True)
            seen += 1
    assert seen > 20


def test_rows_name_the_problems_and_unequal_batches_are_refused(table: Any, groups: list[Twins]) -> None:
    rows = np.concatenate([twins.rows for twins in groups])
    assert len(set(rows.tolist())) == len(rows) <= 48
    with pytest.raises(BadInput, match="48 and 24"):
        pair(twin_batches(48)[0], twin_batches(24)[1], table, "qp")


def by_hand(model: Any, own: torch.Tensor, donor: torch.Tensor, where: torch.Tensor, layer: int) -> torch.Tensor:
    """Logits after the last token, computed layer by layer on GPT-NeoX's own modules, without hooks; the donor's states come from its own pass."""
    network = model.gpt_neox
    positions = torch.arange(own.shape[1])[None]
    streams = [network.embed_in(ids) for ids in (own, donor)]
    rotary = network.rotary_emb(streams[0], positions)
    mask = torch.full((own.shape[1], own.shape[1]), float("-inf")).triu(1)[None, None]
    for number in range(len(network.layers) + 1):
        if number:
            block = network.layers[number - 1]
            streams = [block(one, attention_mask=mask, position_ids=positions, position_embeddings=rotary) for one in streams]
        if number == layer:
            streams[0] = torch.where(where[..., None], streams[1], streams[0])
    return model.lm_head(network.final_layer_norm(streams[0]))[:, -1]


def greedy_name(model: Any, ids: np.ndarray, stop: int) -> list[int]:
    name: list[int] = []
    while len(name) < 16:
        logits = model(torch.from_numpy(np.concatenate((ids, name)).astype(np.int64))[None]).logits[0, -1]
        if int(logits.argmax()) == stop:
            break
        name.append(int(logits.argmax()))
    return name


@torch.inference_mode()
def test_effects_are_those_of_a_computation_layer_by_layer(model: Any, table: Any, groups: list[Twins]) -> None:
    stop, seen = int(table.fragment_ids(" as")[0]), 0
    for twins in sorted(groups, key=len)[-2:]:
        made = interchange(model, twins, (0, 3, 8), stop=stop)
        found = {int(row): (one, place) for one in made for place, row in enumerate(one.rows)}
        for index, row in enumerate(twins.rows.tolist()):
            mine, theirs = (greedy_name(model, ids[index], stop) for ids in (twins.own, twins.other))
            assert (row in found) == (mine != theirs)
            if mine == theirs:
                continue
            shared = next(place for place in range(16) if [*mine, stop][: place + 1] != [*theirs, stop][: place + 1])
            prompt, donor = (torch.from_numpy(np.concatenate((ids[index], mine[:shared])).astype(np.int64))[None] for ids in (twins.own, twins.other))
            tokens = [[*name, stop][shared] for name in (mine, theirs)]
            plain = model(prompt).logits[0, -1]
            for place in ("question", "define", "all"):
                where = torch.from_numpy(np.concatenate((twins.places[place][index], np.full(shared, place != "question"))))[None]
                for layer in (0, 3, 8):
                    logits = by_hand(model, prompt, donor, where, layer)[0]
                    effect: Effect = found[row][0].effects["twin", place, layer]
                    at = found[row][1]
                    assert (effect.kept[at], effect.swapped[at]) == tuple(int(logits.argmax()) == token for token in tokens)
                    moved = (logits[tokens[1]] - logits[tokens[0]]) - (plain[tokens[1]] - plain[tokens[0]])
                    assert effect.shift[at] == pytest.approx(float(moved), abs=1e-3)
            seen += 1
    assert seen >= 3


def test_own_states_change_nothing_and_all_of_the_twins_swap_everything(model: Any, table: Any, groups: list[Twins]) -> None:
    made = [one for twins in groups[::4] for one in interchange(model, twins, (0, 5), stop=int(table.fragment_ids(" as")[0]))]
    assert sum(len(one.rows) for one in made) >= 3
    for one in made:
        for layer in (0, 5):
            assert one.effects["twin", "all", layer].swapped.all()
            assert np.allclose(one.effects["own", "all", layer].shift, 0, atol=1e-4)
            for place in PLACES:
                assert one.effects["own", place, layer].kept.all()


def test_random_directions_have_the_twins_norms_and_are_drawn_by_the_seed(model: Any, table: Any, groups: list[Twins]) -> None:
    twins, stop = max(groups, key=len), int(table.fragment_ids(" as")[0])
    first, again, other = (interchange(model, twins, (4,), stop=stop, places=("after",), seed=seed) for seed in (0, 0, 1))
    shifts = [[one.effects["random", "after", 4].shift.tolist() for one in made] for made in (first, again, other)]
    assert shifts[0] == shifts[1] != shifts[2]


def test_rows_count_every_pair_of_a_cell_once() -> None:
    yes, no = np.array([True, True, False]), np.array([False, False, True])
    parts = [
        Exchanged(
            np.arange(3), {("twin", "all", 0): Effect(yes, no, np.array([1.0, 2.0, 3.0])), ("unrelated", "all", 0): Effect(no, yes, np.zeros(3))}
        ),
        Exchanged(np.arange(1), {("twin", "all", 0): Effect(no[:1], yes[:1], np.array([6.0]))}),
    ]
    rows = {row["donor"]: row for row in effect_rows(parts)}
    assert (rows["twin"]["n"], rows["twin"]["swapped"], rows["twin"]["kept"], rows["twin"]["shift"]) == (4, 0.5, 0.5, 3.0)
    assert rows["twin"]["swapped_low"] < 0.5 < rows["twin"]["swapped_high"]
    assert rows["twin"]["shift_low"] < 3.0 < rows["twin"]["shift_high"]
    assert rows["unrelated"]["n"] == 3
    assert set(rows) < set(DONORS)
