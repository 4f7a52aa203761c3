"""The table of a file's verdicts counts what it says, with Wilson's intervals, and names every row that was kept aside."""

from __future__ import annotations

import json
import random

import pytest
from scipy.stats import binomtest

from igsm_pipeline.text import render_answer, render_problem, render_question
from igsm_pipeline.verification import Error
from igsm_pipeline.verification.files import verify_dataset, verify_file
from igsm_pipeline.verification.summary import tally_of
from tests.reference.plain_text import solution
from tests.reference.random_problems import PLAIN, random_problem
from tests.reference.solution_damage import redundant, undefined_symbol

SEED = 17


def printed_table(judgement):
    return tally_of((*judgement.judged, *judgement.refused)).lines(judgement.hints)


@pytest.fixture(scope="module")
def rows():
    """120 rows: a third right, a third redundant (mostly), a third with an undefined symbol (mostly)."""
    rng = random.Random(SEED)
    made = []
    for number in range(120):
        problem = random_problem(rng, max_width=2)
        text = [solution(problem), redundant(rng, problem, solution(problem)), undefined_symbol(rng, problem, solution(problem))][number % 3]
        answer = render_answer(problem) if number % 5 else " -1"
        made.append({"problem": render_problem(problem), "question": render_question(problem), "solution": text, "answer": answer})
    return made


def test_every_share_counts_its_rows_and_has_wilsons_interval(rows):
    judged = verify_dataset(rows, PLAIN).judged
    table = tally_of(judged).by_op()
    assert [row.op for row in table] == [*sorted({one.op for one in judged}), None]
    for row in table:
        mine = [one.verdict for one in judged if row.op in (None, one.op)]
        right = [one for one in mine if one.correct]
        assert (row.correct.hits, row.correct.n) == (len(right), len(mine))
        assert (row.answered.hits, row.answered.n) == (sum(one.final_answer_correct for one in mine), len(mine))
        assert (row.redundant.hits, row.redundant.n) == (sum(one.unnecessary_parameters > 0 for one in right), len(right))
        assert row.parameters * max(1, len(right)) == pytest.approx(sum(one.unnecessary_parameters for one in right))
        assert row.operations * max(1, len(right)) == pytest.approx(sum(one.unnecessary_operations for one in right))
    interval = binomtest(table[-1].correct.hits, 120).proportion_ci(0.95, "wilson")
    assert (table[-1].correct.low, table[-1].correct.high) == pytest.approx((interval.low, interval.high))
    assert table[-1].redundant.hits > 10


def test_errors_are_counted_by_kind_commonest_first(rows):
    judged = verify_dataset(rows, PLAIN).judged
    found = tally_of(judged).by_error()
    assert {Error.UNDEFINED_SYMBOL, Error.WRONG_ANSWER} <= found.keys()
    assert sum(one.hits for one in found.values()) == sum(not one.verdict.correct for one in judged)
    assert sorted(found.values(), key=lambda one: -one.hits) == list(found.values())
    assert all(one.n == 120 for one in found.values())


def test_five_broken_lines_are_named_and_the_others_scored(rows, tmp_path):
    lines = [json.dumps(row) for row in rows]
    broken = {
        7: "{",
        20: "[]",
        55: '{"problem": "x"}',
        90: json.dumps({**rows[0], "problem": " The number."}),
        125: json.dumps({**rows[1], "solution": 3}),
    }
    for number, line in broken.items():
        lines.insert(number - 1, line)
    (tmp_path / "solutions.jsonl").write_text("\n".join(lines) + "\n")
    judgement = verify_file(tmp_path / "solutions.jsonl", PLAIN)
    printed = printed_table(judgement)
    assert printed[-6] == "120 judged, 5 that could not be:"
    assert [line.split(":")[0] for line in printed[-5:]] == [f"row {number}" for number in broken]
    assert tally_of(judgement.judged).by_op() == tally_of(verify_dataset(rows, PLAIN).judged).by_op()
    assert any(line.split()[:2] == ["all", "120"] for line in printed)


def test_nothing_judged_is_a_table_too(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    printed = printed_table(verify_file(tmp_path / "empty.jsonl", PLAIN))
    assert printed[1].split() == ["all", "0", "-", "-", "-", "0.000", "0.000"]
    assert printed[-2:] == ["0 judged, 0 that could not be", "there is no row to judge: the file is empty, or has a heading only"]
