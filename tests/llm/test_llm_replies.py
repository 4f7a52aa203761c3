"""The answer of a reply is the number that it ends with, whatever stands around it; its names are those of the exam, wherever it is scored."""

from __future__ import annotations

from pathlib import Path

import pytest

import igsm_pipeline as igsm
from igsm_pipeline.llm.prompts import name_world
from igsm_pipeline.llm.replies import final_answer, judge_reply


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("3", "3"), ("The answer is 3.", "3"), ("#### 3", "3"), ("03", "3"), ("+3", "3"), ("3.0", "3"),
        ("The answer is 3 (mod 5).", "3"), ("so it is 3 mod 5", "3"), ("**Answer: 3** (all arithmetic modulo 5)", "3"), ("it must be 3, in Z_5", "3"),
        (r"We get \(8 \equiv 3 \pmod{5}\).", "3"), (r"8 = 3 \mod 5", "3"), ("modulo 5, 4 + 4 = 3", "3"), ("First 2, then 4 + 4 = 3", "3"),
        ("there are 5", "5"), ("3 mod 23", "23"), ("in models 5", "5"),
        ("It is \N{MINUS SIGN}2.", None), ("The answer is -2.", None), ("5-2", "2"), ("about 3.5", None), ("none", None), ("", None),
    ],
)  # fmt: skip
def test_a_reply_ends_with_its_answer_and_a_modulus_that_it_names_is_none(reply: str, answer: str | None) -> None:
    assert final_answer(reply, 5) == answer


def test_every_modulus_is_told_from_the_answer() -> None:
    for modulus in range(2, 30):
        for value in range(modulus):
            assert final_answer(f"Hence {value} (mod {modulus})", modulus) == str(value)
            assert final_answer(f"we compute modulo {modulus}; in the end there are {value} of them", modulus) == str(value)


def test_a_built_in_world_is_found_where_a_folder_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mini").mkdir()
    monkeypatch.chdir(tmp_path)
    assert name_world("mini", None) == "mini"
    assert name_world("own.json", None) == str(tmp_path / "own.json")
    (problem,) = igsm.generate(1, world="mini", op=3, seed=4)
    text = igsm.document(problem, "pq")
    assert judge_reply(f"{text.solution} {text.answer}", text.prompt, "mini", problem.modulus).correct
