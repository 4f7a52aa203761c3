"""What verification takes for a solution and an answer: text in any form, whole numbers, and nothing else."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from igsm_pipeline.errors import BadInput
from igsm_pipeline.text import render_answer, render_solution
from igsm_pipeline.verification import verify
from tests.reference.random_problems import random_problem

PROBLEM = random_problem(random.Random(8))
SOLUTION, VALUE = render_solution(PROBLEM), PROBLEM.values[PROBLEM.query]


@pytest.mark.parametrize("form", [str.encode, lambda text: bytearray(text, "utf-8"), lambda text: memoryview(text.encode())], ids=["b", "ba", "mv"])
def test_text_in_any_form_is_text(form: Any) -> None:
    assert verify(PROBLEM, form(SOLUTION), form(render_answer(PROBLEM))).correct


@pytest.mark.parametrize("number", [VALUE, float(VALUE), np.int64(VALUE), np.float64(VALUE)], ids=lambda one: type(one).__name__)
def test_a_whole_number_of_any_type_is_an_answer(number: Any) -> None:
    assert verify(PROBLEM, SOLUTION, number).correct


@pytest.mark.parametrize("value", [[], ["3"], {}, 2.5, float("nan"), float("inf"), True, np.bool_(False), object(), 10**5000], ids=type)
def test_what_is_no_text_is_refused_by_name(value: Any) -> None:
    with pytest.raises(BadInput, match=r"^answer must be text or a whole number, got .*; give what the model wrote, as text$"):
        verify(PROBLEM, SOLUTION, value)
    with pytest.raises(BadInput, match=r"^solution must be text or a whole number, got"):
        verify(PROBLEM, value)


def test_a_solution_that_lacks_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^solution must be text or a whole number, got 'NoneType None'"):
        verify(PROBLEM, None)  # type: ignore[arg-type]
