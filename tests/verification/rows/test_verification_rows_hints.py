"""Where most rows fail alike, one sentence says what would make them right; where they do not, none does."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from igsm_pipeline.text import render_answer, render_problem, render_question, render_solution
from igsm_pipeline.verification.files import verify_dataset
from igsm_pipeline.verification.rows import hints
from igsm_pipeline.verification.summary import tally_of
from igsm_pipeline.world import load_world
from tests.reference.random_problems import PLAIN, random_problem

SEED = 23
OF_MINI = {
    "problem": "The number of each Canvas Rucksack's Sketchbook equals 3.",
    "question": "How many Sketchbook does Canvas Rucksack have?",
    "solution": "Define Canvas Rucksack's Sketchbook as a; so a = 3.",
}
"""A row with names of the world mini."""


def printed_table(judgement):
    return tally_of((*judgement.judged, *judgement.refused)).lines(judgement.hints)


def make_rows(number: int, modulus: int = 23) -> list[dict[str, Any]]:
    rng, rows = random.Random(SEED), []
    while len(rows) < number:
        problem = random_problem(rng, modulus=modulus)
        solution = render_solution(problem)
        if solution.count(" + ") > 2 and "*" in solution:
            rows.append(
                {"problem": render_problem(problem), "question": render_question(problem), "solution": solution, "answer": render_answer(problem)}
            )
    return rows


def test_another_modulus_is_named_where_it_makes_rows_right() -> None:
    (hint,) = verify_dataset(make_rows(12, 7), PLAIN, 23).hints
    assert hint.endswith("are right with --modulus 7")


def test_numbers_that_were_never_reduced_are_told_apart() -> None:
    rows = [
        {
            "problem": f"The number of each North Quay's Trawler equals 20. The number of each Salt Pier's Trawler equals {9 + number} more than"
            " each North Quay's Trawler.",
            "question": "How many Trawler does Salt Pier have?",
            "solution": "Define North Quay's Trawler as a; so a = 20. Define Salt Pier's Trawler as b; "
            f"so b = {9 + number} + a = {9 + number} + 20 = {29 + number}.",
        }
        for number in range(3)
    ]
    (hint,) = verify_dataset(rows, PLAIN).hints
    assert hint == "3 of the 3 wrong rows looked at give numbers without the modulus; every result must be taken mod 23"


def test_the_built_in_world_that_rows_are_of_is_named() -> None:
    assert verify_dataset([OF_MINI, OF_MINI], load_world("igsm")).hints == (
        "2 of the 2 refused rows looked at are right with --world mini --modulus 23",
    )


def test_one_wording_of_all_rows_is_shown_where_it_stands() -> None:
    rows = [{**row, "solution": row["solution"].replace("; so ", "; So ")} for row in make_rows(5)]
    (hint,) = verify_dataset(rows, PLAIN).hints
    assert re.match(r"5 of the 5 rows looked at fail with parse in sentence 0 .*; row 1 must continue .* got [\"'](.* = |So )", hint)


def test_of_several_moduli_that_would_do_the_likeliest_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a set 101 would stand before 23, and 7 behind it."""
    monkeypatch.setattr(hints, "_moduli", lambda _rows: [101, 7])
    monkeypatch.setattr(hints, "_count_right", lambda rows, *_how: len(rows))
    (hint,) = verify_dataset([OF_MINI, OF_MINI], load_world("igsm")).hints
    assert hint.endswith("--modulus 23")


def test_right_rows_and_rows_that_fail_each_in_its_way_give_no_hint() -> None:
    rows = make_rows(9)
    assert verify_dataset(rows, PLAIN).hints == ()
    for number, row in enumerate(rows):
        row["solution"] = row["solution"].replace(". Define", ". define", number % 4 + 1) if number % 2 else row["solution"][: -2 - number]
    assert not any("modulus" in hint or "world" in hint for hint in verify_dataset(rows, PLAIN).hints)


def test_refusals_are_counted_by_reason_and_only_the_first_are_named() -> None:
    rows = [{"problem": f"The number {number}", "question": "", "solution": "x"} for number in range(40)]
    printed = printed_table(verify_dataset(rows, PLAIN))
    named = [line for line in printed if line.startswith("row ")]
    assert 0 < len(named) <= 5
    assert any(line.startswith("and 35 rows more: question must be") for line in printed)
