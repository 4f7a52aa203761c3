"""The stage of queries: asking about the first problems of a set asks of them what asking about all does."""

from __future__ import annotations

from pathlib import Path

import pytest

from igsm_pipeline.problems import FamilySettings, ProblemSetSettings
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.queries.settings import QuerySetSettings
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.queries.write import read_queries, write_queries
from igsm_pipeline.store import Writing
from igsm_pipeline.world import WorldSettings
from igsm_pipeline.world.write import write_world

FAMILY = FamilySettings(op_max=3, ip_max=4, modulus=5, op_law="uniform", split_by="problem")
NUM, FIRST = 9, 4


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / name for name in ("world", "problems")}
    for folder in found.values():
        folder.mkdir()
    write_world(WorldSettings(source="mini"), {}, Writing(found["world"], False))
    write_problem_set(ProblemSetSettings(family=FAMILY, num_problems=NUM, block_size=NUM, split="all"), found, Writing(found["problems"], False))
    return found


def asked(inputs: dict[str, Path], folder: Path, first: int | None) -> Writing:
    folder.mkdir()
    writing = Writing(folder, False)
    write_queries(QuerySetSettings(family=FAMILY, first=first), inputs, writing)
    return writing


def test_the_first_problems_are_asked_what_they_are_asked_among_all(inputs: dict[str, Path], tmp_path: Path) -> None:
    everything, some = asked(inputs, tmp_path / "all", None), asked(inputs, tmp_path / "first", FIRST)
    assert (everything.counts["problems"], some.counts["problems"]) == (NUM, FIRST)
    for task in TASKS:
        whole = read_queries(everything.folder, task)
        assert read_queries(some.folder, task).equals(whole.filter([problem < FIRST for problem in whole["problem"].to_pylist()]))
        assert max(whole["problem"].to_pylist()) >= FIRST
