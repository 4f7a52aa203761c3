"""Files and data sets of solutions: bad rows are named and kept aside, the rest is scored."""

from __future__ import annotations

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import binomtest

import igsm_pipeline as igsm
from igsm_pipeline import verification
from igsm_pipeline.errors import BadInput, NotFound
from igsm_pipeline.intervals.share import wilson_interval
from igsm_pipeline.text import render_answer, render_problem, render_question, render_solution
from igsm_pipeline.verification.files import Judged, Refused, verify_dataset, verify_file, verify_rows, write_judgement
from igsm_pipeline.world import load_world
from tests.reference.random_problems import PLAIN, random_problem

SEED = 3


def make_rows(number):
    rng = random.Random(SEED)
    problems = [random_problem(rng) for _ in range(number)]
    return problems, [
        {"problem": render_problem(one), "question": render_question(one), "solution": render_solution(one), "answer": render_answer(one)}
        for one in problems
    ]


def test_a_file_of_json_lines_is_scored_and_its_bad_lines_named(tmp_path):
    problems, rows = make_rows(6)
    rows[1]["answer"] = int(rows[1]["answer"])
    rows[2]["solution"] = rows[2]["solution"][:-1]
    del rows[3]["answer"]
    rows[4] = {"problem": rows[4]["problem"].strip() + rows[4]["question"], "solution": rows[4]["solution"]}
    lines = [json.dumps(row) for row in rows]
    lines[3:3] = ["{", "", "[1]", json.dumps({**rows[0], "problem": 5}), json.dumps({**rows[0], "question": " Why?"}), '{"problem": "\\ud800"}']
    path = tmp_path / "solutions.jsonl"
    path.write_bytes("\n".join(lines).encode() + b"\n\xff\xfe\n")
    found = verify_file(path, PLAIN)
    assert [one.number for one in found.judged] == [1, 2, 3, 10, 11, 12]
    assert [one.op for one in found.judged] == [one.op for one in problems]
    assert [one.verdict.correct for one in found.judged] == [True, True, False, True, True, True]
    assert [one.number for one in found.refused] == [4, 6, 7, 8, 9, 13]
    assert ["JSON" in one.reason for one in found.refused] == [True, False, False, False, False, True]
    assert all(one.verdict.correct for one in verify_file(path, PLAIN, strict=False).judged)


def test_parquet_and_any_iterable_give_the_same_verdicts(tmp_path):
    _, rows = make_rows(5)
    pq.write_table(pa.Table.from_pylist([{**row, "source": "x"} for row in rows]), tmp_path / "solutions.parquet")
    found = verify_file(tmp_path / "solutions.parquet", PLAIN)
    assert list(verify_rows(rows, PLAIN)) == list(found.judged)
    assert all(one.verdict.correct for one in found.judged)
    assert verify_dataset(iter(rows), PLAIN) == found
    kinds = [type(one) for one in verify_rows([rows[0], {}, None, {**rows[0], "answer": 1.5}], PLAIN)]
    assert kinds == [Judged, Refused, Refused, Refused]


class Dataset:
    """What is used of a Hugging Face data set: it is iterated, and gives mappings."""

    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return iter(self.rows)


def test_a_data_set_of_rows_or_columns_is_judged_with_columns_of_any_name():
    _, rows = make_rows(4)
    rows[2]["solution"] = "nothing"
    expected = verify_dataset(rows, PLAIN)
    assert [one.verdict.correct for one in expected.judged] == [True, True, False, True]
    renamed = [{"generated": row["solution"], "final": row["answer"], **row, "solution": 7, "answer": "no"} for row in rows]
    columns = {"solution": "generated", "answer": "final"}
    assert verify_dataset(Dataset(renamed), PLAIN, columns=columns) == expected
    by_column = {name: [row[name] for row in renamed] for name in renamed[0]}
    assert verify_dataset(by_column, PLAIN, columns=columns) == expected
    assert [one.number for one in verify_dataset([*rows, {"problem": 3}], PLAIN).refused] == [5]
    with pytest.raises(BadInput, match="give one split"):
        verify_dataset({"train": Dataset(rows)}, PLAIN)
    with pytest.raises(BadInput, match="must be rows or columns"):
        verify_dataset("problem", PLAIN)
    with pytest.raises(BadInput, match="must rename one of problem, question, solution, answer"):
        verify_dataset(rows, PLAIN, columns={"text": "problem"})


@pytest.mark.parametrize("name", ["verdicts.jsonl", "verdicts.parquet"])
def test_every_row_has_its_verdict_or_its_refusal_written(tmp_path, name):
    problems, rows = make_rows(4)
    judgement = verify_dataset([rows[0], {}, {**rows[1], "solution": ""}, rows[2]], PLAIN)
    write_judgement(judgement, tmp_path / name)
    path = tmp_path / name
    found = pq.read_table(path).to_pylist() if name.endswith("parquet") else [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["row"] for row in found] == [1, 2, 3, 4]
    assert [row["op"] for row in found] == [problems[0].op, None, problems[1].op, problems[2].op]
    assert [(row["correct"], row["error"], row["refused"] is None) for row in found] == [
        (True, None, True),
        (None, None, False),
        (False, "parse", True),
        (True, None, True),
    ]


@pytest.mark.parametrize("name", ["solutions.arrow", "solutions"])
def test_an_arrow_file_and_the_stream_that_hugging_face_writes_hold_the_same_rows(tmp_path, name):
    _, rows = make_rows(5)
    table = pa.Table.from_pylist(rows)
    for kind in (pa.ipc.new_file, pa.ipc.new_stream):
        with kind(tmp_path / name, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
        assert verify_file(tmp_path / name, PLAIN).judged == verify_dataset(rows, PLAIN).judged


def test_a_missing_or_broken_file_is_refused_whole(tmp_path):
    with pytest.raises(NotFound, match="must exist"):
        verify_file(tmp_path / "none.jsonl", PLAIN)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(BadInput, match="must be a whole Parquet or Arrow file"):
        verify_file(tmp_path / "broken.parquet", PLAIN)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 40), (3, 7), (40, 40), (4095, 4096), (2000, 4096)])
def test_the_interval_is_wilsons(successes, n):
    expected = binomtest(successes, n).proportion_ci(0.95, "wilson")
    assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_there_is_no_interval_of_more_hits_than_trials():
    assert wilson_interval(0, 0) == (0, 1)
    with pytest.raises(ValueError, match="between 0 and n"):
        wilson_interval(3, 2)


def test_files_and_worlds_may_be_named_by_text(tmp_path):
    texts = [igsm.document(problem, "pq") for problem in igsm.generate(3, world="mini", op=2)]
    rows = [{"problem": text.prompt, "solution": text.solution, "answer": text.answer} for text in texts]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    wanted = verification.verify_dataset(rows, load_world("mini"))
    assert [one.verdict.correct for one in wanted.judged] == [True] * 3
    for world in ("mini", load_world("mini")):
        assert verification.verify_dataset(rows, world) == verification.verify_file(str(path), world) == wanted
        assert tuple(verification.verify_rows(rows, world)) == wanted.judged
    write_judgement(wanted, str(tmp_path / "verdicts.jsonl"))
    assert len((tmp_path / "verdicts.jsonl").read_text().splitlines()) == 3
    with pytest.raises(BadInput, match="world must be a name, a file or a World, got 'int 5'"):
        verification.verify_dataset(rows, 5)
