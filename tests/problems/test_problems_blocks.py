"""Blocks begin alike, whatever is made of them, and always end: an op that a family or a split does not hold is given up or refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from igsm_pipeline.errors import BadInput, BadSettings, StageFailed
from igsm_pipeline.problems import BlockMaker, FamilySettings, ProblemSetSettings, generate, generate_block, regenerate
from igsm_pipeline.problems.law import blocks
from igsm_pipeline.world import load_world

SEED = 5


@pytest.fixture(autouse=True)
def _give_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule by smaller numbers, so that the tests take seconds."""
    monkeypatch.setattr(blocks, "HOPELESS", 3000)
    monkeypatch.setattr(blocks, "RANGE_HOPELESS", 6000)


def settings(family: FamilySettings, **more: object) -> ProblemSetSettings:
    return ProblemSetSettings.model_validate({"family": family, "num_problems": 600, "block_size": 600, "seed": SEED, **more})


def test_ops_beyond_what_a_family_reaches_are_redrawn_among_the_others() -> None:
    print(f"seed {SEED}")
    ops = generate_block(settings(FamilySettings(op_max=10, ip_max=3, op_law="uniform"), split="all"), load_world("mini"), 0).records["op"]
    counts = np.bincount(ops, minlength=11)
    assert counts.sum() == 600
    assert counts[10] == 0
    assert counts[1] > 20


def test_an_op_whose_templates_all_fall_outside_the_split_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"seed {SEED}")
    family = FamilySettings(op_max=3, ip_max=5, op_law="uniform")
    everything = generate_block(settings(family, split="all"), load_world("mini"), 0).records
    held = set(everything["template_bin"][everything["op"] == 1].tolist())
    assert len(held) == 2  # op 1 has two templates
    monkeypatch.setitem(blocks.BINS, "train", frozenset(range(23)) - held)
    records = generate_block(settings(family, split="train", balanced=True), load_world("mini"), 0).records
    assert set(records["op"].tolist()) == {2, 3}
    assert not held & set(records["split_bin"].tolist())


@pytest.mark.parametrize("more", [{}, {"split": "test", "reask": True}, {"law": "exact", "op": 9}, {"balanced": True}], ids=str)
def test_the_first_slots_of_a_block_do_not_depend_on_how_many_are_made(more: dict[str, object]) -> None:
    print(f"seed {SEED}")
    maker = BlockMaker(settings(FamilySettings(), **more), load_world("igsm"))
    whole = maker.make(2).records
    for num in (1, 7, 300):
        assert (maker.make(2, num).records == whole[:num]).all()


def test_nor_do_they_where_ops_are_given_up() -> None:
    print(f"seed {SEED}")
    maker = BlockMaker(settings(FamilySettings(op_max=10, ip_max=3, op_law="uniform"), split="all"), load_world("mini"))
    whole = maker.make(0).records
    assert (maker.make(0, 40).records == whole[:40]).all()


def test_a_set_of_few_problems_is_the_beginning_of_a_set_of_many() -> None:
    few, many = (
        np.concatenate([batch.records for batch in generate(settings(FamilySettings(), block_size=64, num_problems=num), load_world("igsm"))])
        for num in (70, 200)
    )
    assert len(few) == 70
    assert (few == many[:70]).all()


def test_a_key_that_no_problem_of_the_set_has_is_refused() -> None:
    one, world = settings(FamilySettings(), split="test"), load_world("igsm")
    draws = set(generate_block(one, world, 0).records["draw"].tolist())
    refused = 0
    for draw in range(40):
        if draw not in draws:
            with pytest.raises(BadInput, match=f"key must be the block and draw of a problem of the set.*'0:{draw}'"):
                regenerate(one, world, 0, draw)
            refused += 1
    assert refused > 10


def test_an_exact_op_of_which_a_block_finds_none_is_refused_by_name() -> None:
    with pytest.raises(StageFailed, match=r"no all problem of op 10 .*choose another op"):
        generate_block(settings(FamilySettings(op_max=10, ip_max=3), law="exact", op=10, split="all"), load_world("mini"), 1)


def test_a_split_that_holds_nothing_of_a_family_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(blocks.BINS, "test", frozenset())
    with pytest.raises(StageFailed, match=r"no test problem of op 1, 2"):
        generate_block(settings(FamilySettings(op_max=2, ip_max=4, op_law="uniform"), split="test"), load_world("mini"), 0)


def test_a_family_whose_structures_hardly_ever_fit_is_refused() -> None:
    with pytest.raises(BadSettings, match="op_max 30 must not be so far above ip_max 3"):
        FamilySettings.parse({"op_max": 30, "ip_max": 3}, "mine.yaml")
    with pytest.raises(BadSettings, match="op 40 must not be so far above ip_max 5"):
        ProblemSetSettings.parse({"family": {"op_max": 3, "ip_max": 5}, "law": "exact", "op": 40, "num_problems": 1}, "mine.yaml")
    for family in ({}, {"op_max": 21, "ip_max": 28}, {"op_max": 3, "ip_max": 5}, {"op_max": 52, "ip_max": 20}):
        assert FamilySettings.parse(family, "mine.yaml")


def test_a_family_with_fewer_symbols_than_operations_is_refused() -> None:
    with pytest.raises(BadSettings, match="num_symbols must be at least op_max 3"):
        FamilySettings.parse({"op_max": 3, "ip_max": 5, "num_symbols": 2}, "mine.yaml")
    with pytest.raises(BadSettings, match=r"op must be at most family.num_symbols 4, got 5"):
        ProblemSetSettings.parse({"family": {"op_max": 3, "ip_max": 5, "num_symbols": 4}, "law": "exact", "op": 5, "num_problems": 1}, "mine.yaml")


def test_solutions_draw_from_the_symbols_of_the_family() -> None:
    print(f"seed {SEED}")
    family = FamilySettings(op_max=3, ip_max=5, op_law="uniform", num_symbols=4, split_by="problem")
    for reask in (False, True):
        records = generate_block(settings(family, split="all", reask=reask), load_world("mini"), 0).records
        used = np.concatenate([record["symbols"][: record["op"]] for record in records])
        assert set(used.tolist()) == {0, 1, 2, 3}
        assert int(records["op"].max()) <= 4


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((0, -1), "num must be a whole number from 0 to 600, got -1"),
        ((0, 601), "num must be a whole number from 0 to 600, got 601"),
        ((-1, 1), "block must be a whole number from 0 to 4294967295, got -1"),
        ((1 << 32, 1), "block must be a whole number from 0 to 4294967295, got 4294967296"),
        ((0.0, 1), r"block must be a whole number from 0 to 4294967295, got 0\.0"),
    ],
)
def test_a_block_that_there_cannot_be_is_refused(asked: tuple[int, int], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        BlockMaker(settings(FamilySettings()), load_world("mini")).make(*asked)


@pytest.mark.parametrize("draw", [-1, 1 << 32, "0"])
def test_a_draw_that_there_cannot_be_is_refused(draw: int) -> None:
    with pytest.raises(BadInput, match="draw must be a whole number from 0 to"):
        regenerate(settings(FamilySettings()), load_world("mini"), 0, draw)


def test_numbers_of_numpy_name_the_same_block() -> None:
    maker = BlockMaker(settings(FamilySettings()), load_world("mini"))
    assert maker.make(np.uint8(3), np.int64(2)) == maker.make(3, 2)  # type: ignore[arg-type]
    assert len(maker.make(0, 0)) == 0
