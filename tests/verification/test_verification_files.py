"""Files and data sets of solutions: bad rows are named and kept aside, the rest is scored."""

from __future__ import annotations

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import binomtest

from igsm_pipeline.errors import BadInput, NotFound
from igsm_pipeline.text import render_answer, render_problem, render_question, render_solution
from igsm_pipeline.verification.accuracy import accuracy_by_op, wilson_interval
from igsm_pipeline.verification.files import Judged, Refused, verify_file, verify_rows
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
    assert found.first_errors() == {"parse": 1}
    assert found.redundancy() == (0, 0)
    assert found.accuracy()[-1][:3] == (None, 6, 5)
    assert verify_file(path, PLAIN, strict=False).accuracy()[-1][:3] == (None, 6, 6)


def test_parquet_and_any_iterable_give_the_same_verdicts(tmp_path):
    _, rows = make_rows(5)
    pq.write_table(pa.Table.from_pylist([{**row, "source": "x"} for row in rows]), tmp_path / "solutions.parquet")
    found = verify_file(tmp_path / "solutions.parquet", PLAIN)
    assert list(verify_rows(rows, PLAIN)) == list(found.judged)
    assert all(one.verdict.correct for one in found.judged)
    kinds = [type(one) for one in verify_rows([rows[0], {}, None, {**rows[0], "answer": 1.5}], PLAIN)]
    assert kinds == [Judged, Refused, Refused, Refused]


def test_a_missing_or_broken_file_is_refused_whole(tmp_path):
    with pytest.raises(NotFound, match="must exist"):
        verify_file(tmp_path / "none.jsonl", PLAIN)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(BadInput, match="must be a whole Parquet file"):
        verify_file(tmp_path / "broken.parquet", PLAIN)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 40), (3, 7), (40, 40), (4095, 4096), (2000, 4096)])
def test_the_interval_is_wilsons(successes, n):
    expected = binomtest(successes, n).proportion_ci(0.95, "wilson")
    assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_accuracy_has_a_row_per_op_and_one_for_all():
    rows = [{"op": 3, "correct": True}, {"op": 1, "correct": False}, {"op": 3, "correct": False}]
    assert [(row.op, row.n, row.correct) for row in accuracy_by_op(rows)] == [(1, 1, 0), (3, 2, 1), (None, 3, 1)]
    assert accuracy_by_op([]) == ((None, 0, 0, 0.0, 1.0),)
    with pytest.raises(ValueError, match="between 0 and n"):
        wilson_interval(3, 2)
