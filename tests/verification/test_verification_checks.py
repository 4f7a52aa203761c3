"""Checks of texts and verdicts pass on what the stages write, and see solutions, verdicts and rows that are not what they claim to be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, read_problems
from igsm_pipeline.problems.files import from_table, to_table, write_parquet
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.verification.checks import gold_solutions_verify, one_per_completion, texts_agree
from igsm_pipeline.verification.settings import VerdictSettings
from igsm_pipeline.verification.write import write_verdicts
from igsm_pipeline.world import load_world
from igsm_pipeline.world.settings import WorldSettings
from igsm_pipeline.world.write import write_world

FAMILY = FamilySettings(op_max=4, ip_max=6, modulus=5, op_law="uniform", split_by="problem")
TOKENS = TokenSettings(segmentation="phrase")
NUM = 24


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Problems, completions (every third cut off, every third with another answer) and their verdicts."""
    found = {name: tmp_path / name for name in ("world", "problems", "generations", "verdicts")}
    for folder in found.values():
        folder.mkdir()
    write_world(WorldSettings(source="mini"), {}, Writing(found["world"], False))
    write_problem_set(ProblemSetSettings(family=FAMILY, num_problems=NUM), found, Writing(found["problems"], False))
    world = load_world(found["world"] / "world.json")
    table = build_table(world, FAMILY.modulus, TOKENS)
    emitted = emit(read_problems(found["problems"], world, FAMILY.modulus), table, "pq")
    rows = []
    for index in range(NUM):
        ids = emitted.completion(index)[: -4 if index % 3 == 1 else None].copy()
        if index % 3 == 2:
            ids[-2] = emitted.completion((index + 3) % NUM)[-2]
        solution, answer = table.decode_completion(ids)
        rows.append({"problem": index, "tokens": ids.tolist(), "finished": index % 3 != 1, "solution": solution, "answer": answer})
    types = {"problem": pa.int32(), "tokens": pa.list_(pa.uint32()), "finished": pa.bool_(), "solution": pa.string(), "answer": pa.string()}
    write_parquet(pa.Table.from_pylist(rows, schema=pa.schema(types.items())), found["generations"] / "generations.parquet")
    write_verdicts(VerdictSettings(modulus=FAMILY.modulus, tokens=TOKENS), found, Writing(found["verdicts"], False))
    return found


def run(folders: dict[str, Path], stage: str) -> Any:
    """One unit of problem_sets or verdicts as its checks see it."""
    units = {name: SimpleNamespace(name=name, settings={}, inputs={}) for name in folders}
    settings = ProblemSetSettings(family=FAMILY, num_problems=NUM).canonical() if stage == "problems" else {"modulus": FAMILY.modulus}
    unit = SimpleNamespace(name=stage, settings=settings, inputs={name: one for name, one in units.items() if name != stage})
    return SimpleNamespace(units=(unit,), store=SimpleNamespace(path=lambda one: folders[one.name]))


def rewrite(path: Path, column: str, change: Callable[[list[Any]], list[Any]]) -> None:
    table = pq.read_table(path)
    field = table.schema.field(column)
    changed = pa.array(change(table[column].to_pylist()), field.type)
    pq.write_table(table.set_column(table.column_names.index(column), field, changed), path)


def test_checks_pass_on_what_the_stages_write(folders: dict[str, Path]) -> None:
    assert (outcome := gold_solutions_verify(run(folders, "problems"))).passed, outcome.message
    for check in (one_per_completion, texts_agree):
        assert (outcome := check(run(folders, "verdicts"))).passed, outcome.message
    assert {"truncated", "wrong_answer", None} <= set(pq.read_table(folders["verdicts"] / "verdicts.parquet")["error"].to_pylist())


def test_a_value_that_its_statements_do_not_give_makes_a_reference_solution_wrong(folders: dict[str, Path]) -> None:
    path = folders["problems"] / "problems-00000.parquet"
    records = from_table(pq.read_table(path))
    last = int(np.linspace(0, NUM - 1, 16, dtype=int)[5])
    query = records["order"][last, records["num_necessary"][last] - 1]
    records["values"][last, query] = (records["values"][last, query] + 1) % FAMILY.modulus
    pq.write_table(to_table(records), path)
    outcome = gold_solutions_verify(run(folders, "problems"))
    assert not outcome.passed
    assert outcome.message.startswith(f"problems problem {last}: ")


def test_an_order_that_defines_things_before_what_they_rest_on_makes_a_reference_solution_wrong(folders: dict[str, Path]) -> None:
    path = folders["problems"] / "problems-00000.parquet"
    records = from_table(pq.read_table(path))
    sampled = np.linspace(0, NUM - 1, 16, dtype=int).tolist()
    row = next(row for row in sampled if records["num_necessary"][row] > 2)
    records["order"][row, :2] = records["order"][row, [1, 0]]
    pq.write_table(to_table(records), path)
    outcome = gold_solutions_verify(run(folders, "problems"))
    assert not outcome.passed
    assert f"problems problem {row}: " in outcome.message


@pytest.mark.parametrize(
    ("column", "change", "told"),
    [
        ("problem", lambda rows: rows[::-1], "must be those of the 24 completions in their order"),
        ("completion_tokens", lambda rows: [rows[0] + 1, *rows[1:]], "must be those of the 24 completions in their order"),
        ("correct", lambda rows: [not rows[0], *rows[1:]], "1 verdicts contradict themselves"),
        ("final_answer_correct", lambda rows: [not row for row in rows], "verdicts contradict themselves"),
    ],
)
def test_verdicts_of_other_rows_or_with_contradictions_fail(folders: dict[str, Path], column: str, change: Any, told: str) -> None:
    rewrite(folders["verdicts"] / "verdicts.parquet", column, change)
    outcome = one_per_completion(run(folders, "verdicts"))
    assert not outcome.passed
    assert told in outcome.message


def test_a_verdict_that_is_missing_fails(folders: dict[str, Path]) -> None:
    path = folders["verdicts"] / "verdicts.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    assert "got 23 others" in one_per_completion(run(folders, "verdicts")).message


def test_consistent_verdicts_that_the_texts_do_not_bear_out_fail(folders: dict[str, Path]) -> None:
    path = folders["verdicts"] / "verdicts.parquet"
    for column, value in (("correct", True), ("error", None), ("final_answer_correct", True), ("finished", True), ("sentence", None)):
        rewrite(path, column, lambda rows, value=value: [value] * len(rows))
    rewrite(folders["generations"] / "generations.parquet", "finished", lambda rows: [True] * len(rows))
    assert one_per_completion(run(folders, "verdicts")).passed
    outcome = texts_agree(run(folders, "verdicts"))
    assert not outcome.passed
    assert "from its text truncated" in outcome.message
