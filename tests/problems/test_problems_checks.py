"""Checks of data pass on what the stages write, and each sees the damage it is there for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from igsm_pipeline.defs.graph.shown import draw_plots, image
from igsm_pipeline.planning.flow import find_stage
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings
from igsm_pipeline.problems.checks import no_repeats, op_histogram, ops_mixed, split_disjoint
from igsm_pipeline.problems.files import from_table, to_table
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import ShardSettings, TokenSettings
from igsm_pipeline.tokens.checks import lengths, shard_ops
from igsm_pipeline.tokens.write import write_shards
from igsm_pipeline.world.settings import WorldSettings
from igsm_pipeline.world.write import write_world

FAMILY = FamilySettings(op_max=6, ip_max=9, modulus=7)
TRAIN = ProblemSetSettings(family=FAMILY, num_problems=3000, block_size=512, seed=4)
TEST = ProblemSetSettings(family=FAMILY, num_problems=300, block_size=512, seed=4, split="test", stream="evaluation op<=max")
SHARDS = ShardSettings(family=FAMILY, tokens=TokenSettings(segmentation="phrase"), window=160, problems_per_shard=1000)


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], Any]:
    """Stages as checks see them: units with settings and inputs, and where they lie."""
    folders = {name: tmp_path / name for name in ("world", "train", "test", "shards")}
    for folder in folders.values():
        folder.mkdir()
    write_world(WorldSettings(source="mini"), {}, Writing(folders["world"], False))
    for name, settings in (("train", TRAIN), ("test", TEST)):
        write_problem_set(settings, folders, Writing(folders[name], False))
    write_shards(SHARDS, {"world": folders["world"], "problems": folders["train"]}, Writing(folders["shards"], False))
    world = SimpleNamespace(name="world", settings={}, inputs={})
    train = SimpleNamespace(name="train", settings=TRAIN.canonical(), inputs={"world": world})
    test = SimpleNamespace(name="test", settings=TEST.canonical(), inputs={"world": world})
    shards = SimpleNamespace(name="shards", settings=SHARDS.canonical(), inputs={"world": world, "problems": train})
    store = SimpleNamespace(path=lambda unit: folders[unit.name])

    def stage(name: str) -> Any:
        units = (train, test) if name == "problem_sets" else (shards,)
        return SimpleNamespace(
            stage=find_stage(name),
            units=units,
            store=store,
            tables=lambda: [path for unit in units for path in folders[unit.name].glob("*.parquet")],
            folders=lambda: [folders[unit.name] for unit in units],
        )

    return stage


def damage(run: Any, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Rewrite the training set with changed records."""
    (path,) = run.store.path(run.units[0]).glob("problems-*.parquet")
    pq.write_table(to_table(change(from_table(pq.read_table(path)))), path)


def test_checks_pass_on_what_the_stages_write(run: Callable[[str], Any]) -> None:
    for check in (op_histogram, ops_mixed, split_disjoint, no_repeats):
        outcome = check(run("problem_sets"))
        assert outcome.passed, outcome.message
    for check in (shard_ops, lengths):
        outcome = check(run("token_shards"))
        assert outcome.passed, outcome.message
    assert 0 < op_histogram(run("problem_sets")).metadata["least p of chi-square"] <= 1


def test_sorted_ops_are_not_mixed_though_their_histogram_is_right(run: Callable[[str], Any]) -> None:
    stage = run("problem_sets")
    damage(stage, lambda records: records[np.argsort(records["op"], kind="stable")])
    assert op_histogram(stage).passed
    outcome = ops_mixed(stage)
    assert not outcome.passed
    assert "problems of one op in a row" in outcome.message


def test_pairs_of_equal_ops_are_not_mixed(run: Callable[[str], Any]) -> None:
    stage = run("problem_sets")
    damage(
        stage, lambda records: np.concatenate([records[records["op"] == op][:400:] for op in (1, 2)])[np.arange(800) % 2 * 400 + np.arange(800) // 2]
    )
    outcome = ops_mixed(stage)
    assert not outcome.passed
    assert "0.000 of neighbours have equal ops" in outcome.message


def test_ops_of_another_law_fail(run: Callable[[str], Any]) -> None:
    stage = run("problem_sets")
    damage(stage, lambda records: records[(records["op"] != 3) | (np.arange(len(records)) % 2 == 0)])
    outcome = op_histogram(stage)
    assert not outcome.passed
    assert "op 3 must be about" in outcome.message


def test_a_training_bin_in_the_test_set_fails(run: Callable[[str], Any]) -> None:
    stage = run("problem_sets")

    def leak(records: np.ndarray) -> np.ndarray:
        records["split_bin"][7] = 20
        return records

    damage(stage, leak)
    assert "bins in both splits: [20]" in split_disjoint(stage).message


def test_a_block_written_twice_fails(run: Callable[[str], Any]) -> None:
    stage = run("problem_sets")
    damage(stage, lambda records: np.concatenate((records, records[:512])))
    outcome = no_repeats(stage)
    assert not outcome.passed
    assert "512 rows have the key of another" in outcome.message
    assert outcome.metadata["share that repeats an earlier problem"]["train"] >= 512 / 3512 - 1e-4


def test_shards_of_other_ops_and_dropped_levels_fail(run: Callable[[str], Any]) -> None:
    stage = run("token_shards")
    path = stage.store.path(stage.units[0]) / "summary.json"
    summary = json.loads(path.read_text())
    summary["shards"][1]["op_histogram"][1] += 300
    for shard in summary["shards"]:
        shard["dropped_ops"] = [*(0 for _ in shard["op_histogram"][:-1]), shard["op_histogram"][-1]]
    path.write_text(json.dumps(summary))
    assert "shard-00001.parquet: ops are not those of the law" in shard_ops(stage).message
    assert "problems of op 6 are longer than a window" in lengths(stage).message


def test_windows_that_claim_more_tokens_than_they_have_fail(run: Callable[[str], Any]) -> None:
    stage = run("token_shards")
    path = sorted(stage.store.path(stage.units[0]).glob("*.parquet"))[0]
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "length", pa.array([161] * table.num_rows, pa.int32())), path)
    assert "windows hold 161 to 161 tokens" in lengths(stage).message


def test_shards_of_an_earlier_version_without_counts_pass(run: Callable[[str], Any]) -> None:
    stage = run("token_shards")
    (stage.store.path(stage.units[0]) / "summary.json").unlink()
    assert shard_ops(stage).passed
    assert lengths(stage).passed
    assert list(draw_plots(stage)) == ["ops of each shard", "tokens per window"]


def test_each_check_has_its_plot(run: Callable[[str], Any]) -> None:
    for stage, titles in (
        (
            "problem_sets",
            [
                "ops of each set",
                "ops of the training set against the law",
                "runs of one op in the training set",
                "template bins of each set",
                "problems that repeat an earlier one of their set",
            ],
        ),
        ("token_shards", ["ops of each shard", "tokens per window"]),
    ):
        figures = draw_plots(run(stage))
        assert list(figures) == titles
        for title, figure in figures.items():
            assert image(figure, title).startswith(f"![{title}](data:image/png;base64,")
