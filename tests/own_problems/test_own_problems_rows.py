"""Rows of one's own become what the law's problems are: the same texts, the same bins; a row that is none is refused with the way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from igsm_pipeline.errors import BadInput, BadSettings, NotFound
from igsm_pipeline.own_problems.rows import read_problem_rows
from igsm_pipeline.own_problems.settings import OwnProblemSettings
from igsm_pipeline.own_problems.solutions import merged
from igsm_pipeline.own_problems.write import read_split_rows
from igsm_pipeline.problems import FamilySettings, ProblemBatch, ProblemSetSettings, generate_block
from igsm_pipeline.text import document, render_solution
from igsm_pipeline.verification import verify
from igsm_pipeline.world import load_world

FAMILY = FamilySettings(op_max=8, ip_max=12, num_symbols=30)
Row = dict[str, Any]


def drawn(number: int = 120, family: FamilySettings = FAMILY, world: str = "igsm") -> ProblemBatch:
    asked = ProblemSetSettings(family=family, num_problems=number, block_size=number, split="all", stream="own")
    return generate_block(asked, load_world(world), 0)


def rows_of(batch: ProblemBatch, **more: Any) -> list[Row]:
    rows = []
    for problem in batch:
        text = document(problem, "pq")
        at = text.prompt.rindex(" How many ")
        rows.append({"problem": text.prompt[:at], "question": text.prompt[at:], "solution": text.solution, "answer": text.answer, **more})
    return rows


def settings_of(path: Path, rows: list[Row], family: FamilySettings = FAMILY) -> OwnProblemSettings:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return OwnProblemSettings.of(path, family)


def read(path: Path, rows: list[Row], family: FamilySettings = FAMILY, world: str = "igsm") -> ProblemBatch:
    return ProblemBatch(read_split_rows(settings_of(path, rows, family), load_world(world)).records, load_world(world), family.modulus)


@pytest.mark.parametrize("split_by", ["template", "problem"])
def test_rows_of_drawn_problems_give_their_documents_and_bins_again(tmp_path: Path, split_by: Any) -> None:
    family = FAMILY.model_copy(update={"split_by": split_by})
    batch = drawn(family=family)
    found = read_split_rows(settings_of(tmp_path / "a.jsonl", rows_of(batch), family), load_world("igsm"))
    again = ProblemBatch(found.records, batch.world, family.modulus)
    assert [document(one, "pq") for one in again] == [document(one, "pq") for one in batch]
    for name in ("op", "template_bin", "split_bin", "num_necessary"):
        assert np.array_equal(again.records[name], batch.records[name]), name
    assert (found.own_solutions, found.resaid) == (len(batch), 0)
    assert again.records["draw"].tolist() == list(range(1, len(batch) + 1))


def test_a_row_without_a_solution_gets_a_right_one_in_a_drawn_order_with_drawn_symbols(tmp_path: Path) -> None:
    rows = [{"text": row["problem"] + row["question"]} for row in rows_of(drawn())]
    batch, again = read(tmp_path / "a.jsonl", rows), read(tmp_path / "b.jsonl", rows)
    solutions = [render_solution(problem) for problem in batch]
    assert all(verify(problem, solution).correct for problem, solution in zip(batch, solutions, strict=True))
    assert solutions == [render_solution(problem) for problem in again]
    letters = {symbol for problem in batch for symbol in problem.symbols}
    assert letters == set("abcdefghijklmnopqrstuvwxyzABCD")
    longest = max(range(len(rows)), key=lambda index: len(batch[index].order))
    copies = list(read(tmp_path / "c.jsonl", [rows[longest]] * 60))
    assert len({problem.symbols for problem in copies}) == 60
    assert len({problem.order for problem in copies}) > 2


def test_sums_keep_the_order_of_the_rows_solution_and_lists_that_contradict_each_other_are_put_in_one() -> None:
    assert merged(4, [[2, 0], [3, 2]]) == [1, 3, 2, 0]
    assert merged(3, []) == [0, 1, 2]
    assert merged(3, [[1, 0], [0, 1]]) == [0, 1, 2]


def test_other_spellings_are_read_as_verify_reads_them(tmp_path: Path) -> None:
    rows = rows_of(drawn(20))
    odd = [
        {**row, "problem": row["problem"].replace("'", "\u2019").replace(" equals", "  equals"), "answer": f"#### {row['answer']}"} for row in rows
    ]
    assert [document(one, "pq") for one in read(tmp_path / "a.jsonl", odd)] == [document(one, "pq") for one in read(tmp_path / "b.jsonl", rows)]


def changed(rows: list[Row], **cells: Any) -> list[Row]:
    return [*rows[:2], {**rows[2], **cells}, *rows[3:]]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another modulus": ({"modulus": 5}, r"row 3: modulus must be the family's, 23, got 5; set family\.modulus, or leave the row out"),
    "another world": ({"world_hash": "0" * 64}, r"row 3: world_hash must be that of the experiment's world, .* set world\.source"),
    "a wrong answer": ({"solution": None, "answer": "99"}, r"row 3: answer must be that of the problem, \d+ mod 23, got '99'; correct it"),
    "a wrong step": (
        {"solution": " Define A as b; so b = 3."},
        r"row 3: solution must be right in every step, got .* in sentence 0'; correct it, or leave",
    ),
    "no problem": ({"problem": " Nothing.", "question": ""}, r"row 3: .* must "),
    "a name of another world": (
        {"problem": " The number of each Hat's Coat equals 3."},
        r"row 3: statement 0 must use names of the world, got .*Hat",
    ),
    "no text": ({"problem": 3}, r"row 3: problem must be text"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_row_that_is_none_is_refused_by_number_field_rule_and_way_out(tmp_path: Path, case: str) -> None:
    cells, words = REFUSED[case]
    with pytest.raises(BadInput, match=words):
        read(tmp_path / "a.jsonl", changed(rows_of(drawn(5)), **cells))


def test_rows_beyond_the_family_are_refused_with_the_setting_that_would_take_them(tmp_path: Path) -> None:
    rows = rows_of(drawn(40))
    small = FAMILY.model_copy(update={"num_symbols": 3})
    with pytest.raises(
        BadInput, match=r"problem must take 1 to 3 operations \(family\.num_symbols\), got \d+; leave the row out, .*more rows are refused"
    ):
        read(tmp_path / "a.jsonl", rows, small)
    with pytest.raises(BadInput, match=r"problem must have at most 2 statements \(family\.ip_max\)"):
        read(tmp_path / "b.jsonl", rows, FAMILY.model_copy(update={"ip_max": 2}))
    with pytest.raises(BadInput, match=r"solution must use the first 10 letters as symbols \(family\.num_symbols\)"):
        read(tmp_path / "c.jsonl", [row for row in rows if row["solution"].count(";") == 2], FAMILY.model_copy(update={"num_symbols": 10}))


def test_a_solution_with_something_unnecessary_is_refused(tmp_path: Path) -> None:
    for problem, row in zip(batch := drawn(60), rows_of(batch), strict=True):
        spare = [one for one in problem.instances if one not in problem.necessary and not problem.parents(one)]
        if spare:
            symbol = next(letter for letter in "zyxwvuts" if letter not in problem.symbols)
            value = problem.values[spare[0]]
            row["solution"] = f" Define {problem.name(spare[0])} as {symbol}; so {symbol} = {value}.{row['solution']}"
            with pytest.raises(BadInput, match="solution must define nothing that the answer does not need, got '1 unnecessary'"):
                read(tmp_path / "a.jsonl", [row])
            return
    raise AssertionError("no problem with a spare parameter was drawn")


def test_files_that_hold_no_problems_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"problems\.source must be a file of problems, got '.*none\.jsonl'"):
        OwnProblemSettings.of(tmp_path / "none.jsonl", FAMILY)
    with pytest.raises(BadInput, match=r"problems\.source must hold problems, got '.*without a row'"):
        read(tmp_path / "empty.jsonl", [])
    kept = settings_of(tmp_path / "gone.jsonl", rows_of(drawn(2)))
    (tmp_path / "gone.jsonl").unlink()
    with pytest.raises(NotFound):
        read_problem_rows(kept, load_world("igsm"))
