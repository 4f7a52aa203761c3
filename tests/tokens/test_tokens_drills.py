"""A drill is a right solution that its symbols alone determine; drills stand beside the problems and change nothing else."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from igsm_pipeline import seeding
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block
from igsm_pipeline.text import document
from igsm_pipeline.tokens import TokenSettings, TokenTable, build_table, emit
from igsm_pipeline.tokens.drills import draw_drills, longest_drill, names
from igsm_pipeline.tokens.settings import DrillSettings, WindowSettings
from igsm_pipeline.tokens.windows import Packed, pack, windows_of
from igsm_pipeline.world import load_world

_SENTENCE = re.compile(r" Define (?P<name>[^.=]+) as (?P<symbol>[a-zA-Z]); so (?P=symbol) = (?P<rest>[^.]+)\.")
_SUM = re.compile(r"([a-zA-Z]) \+ ([a-zA-Z]) = (\d+) \+ (\d+) = (\d+)")


def family_of(op_max: int, modulus: int, symbols: int) -> FamilySettings:
    return FamilySettings(op_max=op_max, ip_max=max(4, op_max), modulus=modulus, num_symbols=symbols, op_law="uniform", split_by="problem")


def table_of(world: str, modulus: int, segmentation: Literal["bpe", "phrase"]) -> TokenTable:
    return build_table(load_world(world), modulus, TokenSettings(segmentation=segmentation))


def drills_of(
    op_max: int, modulus: int, symbols: int, seed: int, *, world: str = "mini", segmentation: Literal["bpe", "phrase"] = "phrase"
) -> list[str]:
    """Forty drills as text."""
    table = table_of(world, modulus, segmentation)
    emitted = draw_drills(40, table, load_world(world), family_of(op_max, modulus, symbols), seeding.generator(seed, "test"))
    return [table.decode(emitted.document(number), specials=True) for number in range(40)]


@given(st.integers(3, 12), st.integers(2, 23), st.integers(0, 8), st.integers(0, 2**32), st.sampled_from(["bpe", "phrase"]))
def test_every_step_of_a_drill_follows_from_the_steps_before_it(
    op_max: int, modulus: int, more: int, seed: int, segmentation: Literal["bpe", "phrase"]
) -> None:
    for text in drills_of(op_max, modulus, op_max + more, seed, segmentation=segmentation):
        head, body, answer = re.split(r"(?<=<\|solution\|>)|<\|answer\|>", text)
        assert head == "<|problem|><|solution|>"
        sentences = [*_SENTENCE.finditer(body)]
        assert "".join(one[0] for one in sentences) == body
        assert len(sentences) == op_max
        values: dict[str, int] = {}
        sums = []
        for sentence in sentences:
            found = _SUM.fullmatch(sentence["rest"])
            sums.append(found is not None)
            if found is not None:
                one, other = values[found[1]], values[found[2]]
                assert found[1] != found[2]
                assert (int(found[3]), int(found[4]), int(found[5])) == (one, other, (one + other) % modulus)
            assert sentence["symbol"] not in values
            values[sentence["symbol"]] = int(sentence["rest"].rpartition(" ")[2])
        assert len({one["name"] for one in sentences}) == op_max
        assert sums == sorted(sums), "constants come first"
        assert 2 <= sums.count(False) <= op_max - 1
        assert set(values.values()) <= set(range(modulus))
        assert set(values) <= set("abcdefghijklmnopqrstuvwxyz"[: op_max + more])
        assert answer == f" {values[sentences[-1]['symbol']]}<|endoftext|>"


@pytest.mark.parametrize("segmentation", ["bpe", "phrase"])
def test_no_drill_is_longer_than_the_longest_that_can_be(segmentation: Literal["bpe", "phrase"]) -> None:
    world, family, table = load_world("igsm"), family_of(6, 23, 10), table_of("igsm", 23, segmentation)
    lengths = draw_drills(500, table, world, family, seeding.generator(1, "test")).lengths
    longest = longest_drill(table, world, family)
    assert lengths.max() <= longest
    if segmentation == "phrase":
        assert lengths.max() == longest


def test_which_summand_of_a_drill_stands_first_is_a_coin() -> None:
    orders = []
    for text in drills_of(9, 5, 10, 1) + drills_of(9, 5, 10, 2):
        place = {one["symbol"]: number for number, one in enumerate(_SENTENCE.finditer(text))}
        orders += [place[found[1]] < place[found[2]] for found in _SUM.finditer(text)]
    assert len(orders) > 200
    assert abs(np.mean(orders) - 0.5) < 4 * 0.5 / np.sqrt(len(orders))


@pytest.mark.parametrize("world", ["mini", "igsm"])
def test_drills_use_the_names_that_instance_parameters_have_and_no_others(world: str) -> None:
    loaded, table = load_world(world), table_of(world, 5, "phrase")
    texts = table.fragments.texts
    known = {texts[owner] + texts[thing] for owner, thing in names(table.fragments, loaded).tolist()}
    problems = generate_block(ProblemSetSettings(family=family_of(6, 5, 10), num_problems=400, block_size=400), loaded, 0)
    written = {one["name"] for problem in problems for one in _SENTENCE.finditer(document(problem, "pq").solution)}
    categories = {layer.category for hierarchy in loaded.hierarchies for layer in hierarchy.layers}
    instances = {f" {name}" for name in written if not any(name.endswith(f"'s {category}") for category in categories)}
    assert instances
    assert instances <= known
    assert len(known) == sum(
        sum(len(part.items) for part in above.subcategories) * sum(len(part.items) for part in below.subcategories)
        for hierarchy in loaded.hierarchies
        for above, below in pairwise(hierarchy.layers)
    )


@pytest.mark.parametrize("alignment", ["aligned", "best_fit", "single", "stream"])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_windows_of_problems_are_those_without_drills_and_the_share_is_kept(alignment: Literal["aligned", "single"], share: float) -> None:
    world, family = load_world("mini"), family_of(4, 5, 10)
    table = table_of("mini", 5, "phrase")
    batch = generate_block(ProblemSetSettings(family=family, num_problems=120, block_size=120), world, 0)
    plain = pack(emit(batch, table, "pq"), 160, alignment)

    def windows(number: int, seed: int = 0) -> Packed:
        settings = WindowSettings(window=160, alignment=alignment, drills=DrillSettings(share=share, seed=seed))
        return windows_of(batch, table, family, settings, number)

    mixed = windows(3)
    assert np.array_equal(mixed.tokens[: len(plain.lengths)], plain.tokens)
    assert np.array_equal(mixed.kept, plain.kept)
    drills = mixed.tokens[len(plain.lengths) :].reshape(-1)
    begun = int(((drills[:-1] == table.bos) & (drills[1:] == table.solution)).sum())
    assert begun == pytest.approx(len(batch) * share / (1 - share), abs=0.5)
    if share:
        assert not np.array_equal(windows(3, seed=1).tokens, mixed.tokens)
        assert not np.array_equal(windows(4).tokens, mixed.tokens)
