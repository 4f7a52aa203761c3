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
from igsm_pipeline.text.retries import with_retries
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.verification import verify
from igsm_pipeline.verification import write as stage
from igsm_pipeline.verification.settings import VerdictSettings
from igsm_pipeline.verification.token_path import TokenVerifier
from igsm_pipeline.verification.write import SCHEMA, write_verdicts
from igsm_pipeline.world import load_world
from igsm_pipeline.world.world import parse_world
from tests.reference.drawn_records import draw_batch
from tests.reference.random_problems import by_name

WORLD, MODULUS, SEED = load_world("mini"), 7, 11
END = "<|endoftext|>"
VERDICT = ("error", "sentence", "parameter", "final_answer_correct", "unnecessary_parameters", "unnecessary_operations")


@pytest.fixture(scope="module")
def batch():
    return draw_batch(WORLD, MODULUS, 40, SEED)


def run(batch, generations, folder, world=WORLD, segmentation="phrase", back=False):
    """The rows and counts of the stage; a generation is (row, text with its specials)."""
    for name in ("world", "problems", "generations", "verdicts"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "world" / "world.json").write_text(json.dumps(world.document()))
    write_parquet(to_table(batch.records), folder / "problems" / "problems-00000.parquet")
    tokens = TokenSettings(segmentation=segmentation, back=back)
    table = build_table(world, MODULUS, TokenSettings(segmentation="phrase") if segmentation == "checkpoint" else tokens)
    made = []
    for row, text in generations:
        ids = table.encode(text)
        solution, answer = table.decode_completion(ids)
        made.append({"problem": row, "tokens": ids.tolist(), "finished": text.endswith(END), "solution": solution, "answer": answer})
    schema = pa.schema(
        [("problem", pa.int32()), ("tokens", pa.list_(pa.uint32())), ("finished", pa.bool_()), ("solution", pa.string()), ("answer", pa.string())]
    )
    write_parquet(pa.Table.from_pylist(made, schema), folder / "generations" / "generations.parquet")
    writing = Writing(folder / "verdicts", False)
    settings = VerdictSettings(modulus=MODULUS, tokens=tokens)
    write_verdicts(settings, {name: folder / name for name in ("world", "problems", "generations")}, writing)
    found = pq.read_table(folder / "verdicts" / "verdicts.parquet")
    assert found.schema.equals(SCHEMA)
    return found.to_pylist(), writing.counts


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("segmentation", ["bpe", "phrase", "checkpoint"])
def test_each_completion_gets_its_verdict(batch, tmp_path, lenient, segmentation, monkeypatch):
    monkeypatch.setattr(stage, "CHUNK", 7)
    made = []
    for number, problem in enumerate(batch):
        solution, answer = render_solution(problem), f"<|answer|>{render_answer(problem)}"
        wrong = f"<|answer|> {(problem.values[problem.query] + 1) % MODULUS}"
        made.append(
            (
                number,
                [solution + answer + END, solution + END, solution + answer, solution + wrong + END, "", solution + "." + answer + END][number % 6],
            )
        )
    world = parse_world(json.dumps({**WORLD.document(), "lenient": lenient}).encode(), "world.json")
    rows, counts = run(batch, made, tmp_path, world, segmentation)
    assert [row["error"] for row in rows] == ([None, "truncated", "truncated", "wrong_answer", "truncated", "parse"] * 7)[:40]
    assert [row["correct"] for row in rows] == [row["error"] is None for row in rows]
    assert [row["finished"] for row in rows] == [text.endswith(END) for _, text in made]
    assert [(row["problem"], row["op"]) for row in rows] == [(number, problem.op) for number, problem in enumerate(batch)]
    assert all(row["num_necessary"] == len(batch[row["problem"]].order) for row in rows)
    table = build_table(world, MODULUS, TokenSettings(segmentation=segmentation.replace("checkpoint", "phrase")))
    assert [row["completion_tokens"] for row in rows] == [len(table.encode(text)) for _, text in made]
    for (number, text), row in zip(made, rows, strict=True):
        solution, _, answer = text.removesuffix(END).partition("<|answer|>")
        verdict = verify(batch[number], solution, answer or None, finished=bool(answer) and text.endswith(END))
        assert {name: row[name] for name in VERDICT} == {name: getattr(verdict, name) for name in VERDICT}
    assert counts == {"solutions": 40, "correct": 7, "ambiguous_problems": 0, "error_parse": 6, "error_truncated": 20, "error_wrong_answer": 7}


def test_each_step_judges_its_own_tokens_alone(batch, tmp_path, monkeypatch):
    given, judge = [], TokenVerifier.judge

    def count(self, ids, offsets, *rest):
        given.append(len(ids))
        return judge(self, ids, offsets, *rest)

    monkeypatch.setattr(stage, "CHUNK", 7)
    monkeypatch.setattr(TokenVerifier, "judge", count)
    rows, counts = run(batch, [(number, render_solution(one) + f"<|answer|>{render_answer(one)}{END}") for number, one in enumerate(batch)], tmp_path)
    assert counts["correct"] == len(batch)
    assert given == [sum(row["completion_tokens"] for row in rows[start : start + 7]) for start in range(0, len(batch), 7)]


def test_no_generations_give_no_verdicts(batch, tmp_path):
    assert run(batch, [], tmp_path) == ([], {"solutions": 0, "correct": 0, "ambiguous_problems": 0})


def test_records_and_their_texts_give_the_same_graph_and_verdict(batch):
    for problem in batch:
        parsed = parse_problem(render_problem(problem) + render_question(problem), WORLD, MODULUS)
        assert by_name(parsed) == by_name(problem)
        assert verify(parsed, render_solution(problem)) == verify(problem, render_solution(problem))
        assert verify(parsed, render_solution(problem)).correct


def test_a_generation_of_a_missing_problem_is_refused(batch, tmp_path):
    with pytest.raises(BadProblem, match="must be a row of the problem set"):
        run(batch, [(40, END)], tmp_path)


def test_settings_need_the_modulus_and_the_tokens_change_no_address():
    with pytest.raises(BadSettings, match="modulus"):
        VerdictSettings.parse({}, "verdicts")
    phrase = VerdictSettings(modulus=7, tokens=TokenSettings(segmentation="phrase"))
    assert phrase.canonical() == {"modulus": 7}
    assert VerdictSettings.parse({**phrase.canonical(), **phrase.runtime()}, "verdicts") == phrase


def test_a_model_that_can_take_back_has_its_retries_counted_beside_its_verdicts(batch, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "CHUNK", 7)
    made = []
    for number, problem in enumerate(batch):
        sentences = render_solution(problem)[1:-1].split(". ")
        text = with_retries(sentences, [(0, problem.name(problem.query))] * (number % 4))
        wrong = number % 5 == 0
        answer = (problem.values[problem.query] + wrong) % MODULUS
        made.append((number, f"{text}<|answer|> {answer}{END}"))
    rows, counts = run(batch, made, tmp_path, back=True)
    retries = pq.read_table(tmp_path / "verdicts" / "retries.parquet").to_pylist()
    assert [row["retries"] for row in retries] == [number % 4 for number in range(len(batch))]
    assert [row["correct"] for row in retries] == [row["correct"] for row in rows] == [number % 5 > 0 for number in range(len(batch))]
    assert [(row["problem"], row["op"]) for row in retries] == [(row["problem"], row["op"]) for row in rows]
    assert counts["retries"] == sum(number % 4 for number in range(len(batch)))
    (tmp_path / "verdicts" / "retries.parquet").unlink()
    run(batch, [(number, text.replace("<|back|>", "")) for number, text in made if number % 4 == 0], tmp_path)
    assert not (tmp_path / "verdicts" / "retries.parquet").exists(), "a model without the token has no such table"
