"""Whatever takes a modulus takes a whole number from 2 to 65536, of any type that is one, and nothing else."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from igsm_pipeline.errors import BadInput
from igsm_pipeline.problems.modulus import whole_modulus
from igsm_pipeline.text import parse_problem, render_problem, render_question
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.verification import reward, reward_function
from igsm_pipeline.verification.files import verify_dataset
from igsm_pipeline.verification.rows.judging import Judging, read_tables
from igsm_pipeline.world import load_world
from tests.reference.random_problems import PLAIN, random_problem

MINI = load_world("mini")
PROBLEM = random_problem(random.Random(5), PLAIN, 200)
TEXT = render_problem(PROBLEM) + render_question(PROBLEM)
NO_MODULUS = [True, 23.0, 2.5, "23", None, [23], 1, 0, -5, 65537, 10**40, np.float64(23), np.bool_(True)]


@pytest.mark.parametrize("value", [2, 23, 65536, np.int64(23), np.uint8(200)], ids=repr)
def test_whole_numbers_of_any_type_become_ints(value: Any) -> None:
    assert whole_modulus(value) == value
    assert type(whole_modulus(value)) is int


@pytest.mark.parametrize("value", NO_MODULUS, ids=lambda one: repr(one)[:12])
def test_what_is_no_modulus_is_refused_wherever_one_is_given(value: Any) -> None:
    places = {
        "parse_problem": lambda: parse_problem(TEXT, MINI, value),
        "reward": lambda: reward([TEXT], [" x"], world=MINI, modulus=value),
        "reward_function": lambda: reward_function(world=MINI, modulus=value),
        "build_table": lambda: build_table(MINI, value, TokenSettings(segmentation="phrase")),
    }
    if value is not None:  # there it means: as the row says
        places |= {"Judging": lambda: Judging(MINI, value), "verify_dataset": lambda: verify_dataset([], MINI, value)}
    for name, call in places.items():
        with pytest.raises(BadInput, match=r"modulus must be a whole number from 2 to 65536, got .*; correct it"):
            print(name, call())


def test_a_small_type_of_number_gives_the_same_values_as_an_int() -> None:
    problem = parse_problem(TEXT, PLAIN, np.uint8(200))  # type: ignore[arg-type]
    assert problem == parse_problem(TEXT, PLAIN, 200)
    assert type(problem.modulus) is int
    assert {type(value) for value in problem.values.values()} == {int}


def test_no_remembered_problem_has_a_modulus_of_another_type() -> None:
    read_tables.cache_clear()
    reward([TEXT], [" x"], world=PLAIN, modulus=np.uint8(200))  # type: ignore[arg-type]
    assert type(read_tables(TEXT, PLAIN, 200, True).modulus) is int
