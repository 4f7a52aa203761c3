"""The stage judges every completion of a problem set from text alone and keeps what reports need."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from igsm_pipeline.errors import BadProblem, BadSettings
from igsm_pipeline.problems.files import to_table, write_parquet
from igsm_pipeline.store import Writing
from igsm_pipeline.text import parse_problem, render_answer, render_problem, render_question, render_solution
from igsm_pipeline.verification import verify
from igsm_pipeline.verification.settings import VerdictSettings
from igsm_pipeline.verification.stage import SCHEMA, write_verdicts
from igsm_pipeline.world import load_world
from tests.reference.drawn_records import draw_batch
from tests.reference.random_problems import by_name

WORLD, MODULUS, SEED = load_world("mini"), 7, 11


@pytest.fixture(scope="module")
def batch():
    return draw_batch(WORLD, MODULUS, 40, SEED)


def run(batch, generations, folder):
    for name in ("world", "problems", "generations", "verdicts"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "world" / "world.json").write_text(json.dumps(WORLD.document()))
    write_parquet(to_table(batch.records), folder / "problems" / "problems-00000.parquet")
    schema = pa.schema(
        [("problem", pa.int32()), ("tokens", pa.list_(pa.uint32())), ("finished", pa.bool_()), ("solution", pa.string()), ("answer", pa.string())]
    )
    write_parquet(pa.Table.from_pylist(generations, schema), folder / "generations" / "generations.parquet")
    writing = Writing(folder / "verdicts", False)
    write_verdicts(VerdictSettings(modulus=MODULUS), {name: folder / name for name in ("world", "problems", "generations")}, writing)
    table = pq.read_table(folder / "verdicts" / "verdicts.parquet")
    assert table.schema.equals(SCHEMA)
    return table.to_pylist(), writing.counts


def test_each_completion_gets_its_verdict(batch, tmp_path):
    made = []
    for number, problem in enumerate(batch):
        right = {"problem": number, "tokens": [5, 6, 7], "finished": True, "solution": render_solution(problem), "answer": render_answer(problem)}
        wrong = [
            {},
            {"answer": None},
            {"finished": False},
            {"answer": f" {(problem.values[problem.query] + 1) % MODULUS}"},
            {"solution": "", "answer": None, "finished": False},
        ]
        made.append(right | wrong[number % 5])
    rows, counts = run(batch, made, tmp_path)
    assert [row["error"] for row in rows] == [None, "truncated", "truncated", "wrong_answer", "truncated"] * 8
    assert [row["correct"] for row in rows] == [True, False, False, False, False] * 8
    assert [row["finished"] for row in rows] == [one["finished"] for one in made]
    assert [(row["problem"], row["op"]) for row in rows] == [(number, problem.op) for number, problem in enumerate(batch)]
    assert all(row["completion_tokens"] == 3 and row["num_necessary"] == len(batch[row["problem"]].order) for row in rows)
    assert counts == {"solutions": 40, "correct": 8, "ambiguous_problems": 0, "error_truncated": 24, "error_wrong_answer": 8}


def test_records_and_their_texts_give_the_same_graph_and_verdict(batch):
    for problem in batch:
        parsed = parse_problem(render_problem(problem) + render_question(problem), WORLD, MODULUS)
        assert by_name(parsed) == by_name(problem)
        assert verify(parsed, render_solution(problem)) == verify(problem, render_solution(problem))
        assert verify(parsed, render_solution(problem)).correct


def test_a_generation_of_a_missing_problem_is_refused(batch, tmp_path):
    with pytest.raises(BadProblem, match="must be a row of the problem set"):
        run(batch, [{"problem": 40, "tokens": [], "finished": True, "solution": "", "answer": ""}], tmp_path)


def test_settings_need_the_modulus():
    with pytest.raises(BadSettings, match="modulus"):
        VerdictSettings.parse({}, "verdicts")
