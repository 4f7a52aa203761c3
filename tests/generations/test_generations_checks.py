"""Checks of generations see rows of other problems, completions beyond the limit, and limits that leave no room for a solution."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from igsm_pipeline.generations.checks import one_per_problem, room_to_answer
from igsm_pipeline.generations.settings import GenerationSettings
from igsm_pipeline.generations.write import generations_table
from igsm_pipeline.model.decoding import Completions
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, read_problems
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.world import load_world
from igsm_pipeline.world.settings import WorldSettings
from igsm_pipeline.world.write import write_world

FAMILY = FamilySettings(op_max=3, ip_max=5, modulus=5, op_law="uniform", split_by="problem")
TOKENS = TokenSettings(segmentation="phrase")
NUM = 12


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / name for name in ("world", "problems", "checkpoint", "generations")}
    for folder in found.values():
        folder.mkdir()
    write_world(WorldSettings(source="mini"), {}, Writing(found["world"], False))
    write_problem_set(ProblemSetSettings(family=FAMILY, num_problems=NUM), found, Writing(found["problems"], False))
    return found


def run(folders: dict[str, Path], max_tokens: int, *, babble: int = 0) -> Any:
    """Reference solutions as a model would have written them within ``max_tokens``, each after ``babble`` more tokens."""
    world = load_world(folders["world"] / "world.json")
    table = build_table(world, FAMILY.modulus, TOKENS)
    emitted = emit(read_problems(folders["problems"], world, FAMILY.modulus), table, FAMILY.format)
    prompts = np.array([len(emitted.prompt(index)) for index in range(NUM)])
    whole = [np.concatenate((np.full(babble, emitted.completion(index)[0]), emitted.completion(index))) for index in range(NUM)]
    room = np.maximum(0, max_tokens - prompts)
    kept = [ids[:most].astype(np.uint32) for ids, most in zip(whole, room.tolist(), strict=True)]
    finished = np.array([len(ids) == len(all_) for ids, all_ in zip(kept, whole, strict=True)])
    pq.write_table(generations_table(Completions(kept, finished), prompts, table), folders["generations"] / "generations.parquet")
    settings = GenerationSettings(family=FAMILY, tokens=TOKENS, max_tokens=max(16, max_tokens))
    inputs = {name: SimpleNamespace(name=name) for name in ("world", "problems", "checkpoint")}
    unit = SimpleNamespace(name="generations", settings=settings.canonical(), runtime=settings.runtime(), inputs=inputs)
    return SimpleNamespace(units=(unit,), store=SimpleNamespace(path=lambda one: folders[one.name]))


def test_solutions_with_room_pass(folders: dict[str, Path]) -> None:
    stage = run(folders, 256)
    assert (outcome := one_per_problem(stage)).passed, outcome.message
    assert (outcome := room_to_answer(stage)).passed, outcome.message
    assert outcome.metadata["share cut off"] == {"generations": 0.0}


def test_a_limit_below_every_prompt_leaves_no_room_and_all_is_cut_off(folders: dict[str, Path]) -> None:
    stage = run(folders, 16)
    assert one_per_problem(stage).passed, "the rows are what the settings ask for"
    outcome = room_to_answer(stage)
    assert not outcome.passed
    assert outcome.message.startswith("generations: 12 of 12 completions had no room for the reference solution; the longest needs ")
    assert outcome.message.endswith("tokens. Raise evaluation.max_tokens")
    assert outcome.metadata["share cut off"] == {"generations": 1.0}


def test_the_limit_that_the_message_names_is_the_least_that_has_room_for_all(folders: dict[str, Path]) -> None:
    least = int(room_to_answer(run(folders, 16)).message.split("needs ")[1].split()[0])
    assert room_to_answer(run(folders, least)).passed
    outcome = room_to_answer(run(folders, least - 1))
    assert not outcome.passed
    assert 0 < outcome.metadata["share cut off"]["generations"] < 1


def test_a_model_that_goes_on_beyond_the_solution_is_cut_off_by_its_own_fault(folders: dict[str, Path]) -> None:
    outcome = room_to_answer(run(folders, 200, babble=300))
    assert outcome.passed
    assert outcome.message == "100.0% of completions were cut off, none before its reference solution fitted"


def test_rows_of_other_problems_fail(folders: dict[str, Path]) -> None:
    stage = run(folders, 256)
    path = folders["generations"] / "generations.parquet"
    table = pq.read_table(path)
    for changed in (table.slice(1), table.take(pa.array([1, 0, *range(2, NUM)])), pa.concat_tables([table, table.slice(0, 1)])):
        pq.write_table(changed, path)
        assert "its rows must be the problems 0 to 11, each once" in one_per_problem(stage).message


def test_a_completion_beyond_the_limit_fails(folders: dict[str, Path]) -> None:
    stage = run(folders, 256)
    stage.units[0].settings["max_tokens"] = 40
    assert "completions are longer than evaluation.max_tokens, 40" in one_per_problem(stage).message
