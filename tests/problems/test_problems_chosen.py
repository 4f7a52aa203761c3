"""Sets that are taken from a file hold its problems of their split and op, and nothing else."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block
from igsm_pipeline.problems.chosen import choose
from igsm_pipeline.problems.law.split import TEST_BINS, TRAIN_BINS
from igsm_pipeline.problems.record import Records
from igsm_pipeline.world import load_world

FAMILY = FamilySettings(op_max=4, ip_max=6, modulus=5, split_by="problem")


@pytest.fixture(scope="module")
def file() -> Records:
    """600 problems of 1 to 6 operations, sorted by op, as someone's file may be."""
    asked = ProblemSetSettings(
        family=FAMILY.model_copy(update={"op_max": 6, "op_law": "uniform"}), num_problems=600, block_size=600, split="all", stream="file"
    )
    records = generate_block(asked, load_world("mini"), 0).records
    records = records[np.argsort(records["op"], kind="stable")]
    records["draw"] = np.arange(1, 601)
    return records


def chosen(file: Records, **asked: object) -> Records:
    return choose(file, ProblemSetSettings.model_validate({"family": FAMILY, "num_problems": 50, **asked}))


def test_a_set_has_its_split_and_ops_alone_mixed_and_numbered(file: Records) -> None:
    train, test = chosen(file), chosen(file, split="test", stream="evaluation op<=max")
    assert set(train["split_bin"].tolist()) <= TRAIN_BINS
    assert set(test["split_bin"].tolist()) <= TEST_BINS
    assert set(train["op"].tolist()) == {1, 2, 3, 4}
    assert np.mean(train["op"][1:] == train["op"][:-1]) < 0.6
    assert train["slot"].tolist() == list(range(50))
    assert len(set(train["draw"].tolist())) == 50
    exact = chosen(file, split="test", law="exact", op=6, num_problems=1000, stream="evaluation op=6")
    there = (file["op"] == 6) & np.isin(file["split_bin"], sorted(TEST_BINS))
    assert sorted(exact["draw"].tolist()) == sorted(file["draw"][there].tolist())


def test_what_a_set_holds_does_not_depend_on_how_many_others_it_holds(file: Records) -> None:
    assert np.array_equal(chosen(file, num_problems=20)["draw"], chosen(file, num_problems=50)["draw"][:20])


def test_probes_learn_from_other_problems_than_the_model_where_there_are_enough(file: Records) -> None:
    train, probes = chosen(file, num_problems=100), chosen(file, num_problems=100, stream="probes")
    assert not set(train["draw"].tolist()) & set(probes["draw"].tolist())
    everything = chosen(file, num_problems=1000)
    assert set(chosen(file, num_problems=1000, stream="probes")["draw"].tolist()) == set(everything["draw"].tolist())


def test_a_balanced_set_has_every_op_as_often_as_the_file_allows(file: Records) -> None:
    counts = Counter(chosen(file, split="test", balanced=True, num_problems=40, stream="monitor")["op"].tolist())
    assert counts == dict.fromkeys(range(1, 5), 10)


def test_reasked_problems_are_the_files_with_another_question(file: Records) -> None:
    plain = chosen(file, split="test", law="exact", op=5, stream="evaluation op=5")
    asked = chosen(file, split="test", law="exact", op=5, stream="evaluation op=5", reask=True)
    assert np.array_equal(plain["draw"], asked["draw"])
    assert np.array_equal(plain["children"], asked["children"])
    assert np.mean([a["order"][a["num_necessary"] - 1] != b["order"][b["num_necessary"] - 1] for a, b in zip(plain, asked, strict=True)]) > 0.9


def test_a_file_without_such_problems_gives_an_empty_set(file: Records) -> None:
    assert len(chosen(file, split="test", law="exact", op=9, stream="evaluation op=9", family=FAMILY.model_copy(update={"ip_max": 9}))) == 0
