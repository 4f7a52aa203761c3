"""Examples: what ``examples/swapped_sums.py`` changes in a solution, and what it leaves."""

from __future__ import annotations

import pytest
from reference.examples import example

from igsm_pipeline.problems import ProblemSetSettings, generate
from igsm_pipeline.text import document
from igsm_pipeline.verification import verify
from igsm_pipeline.world import load_world

swapped_sums = example("swapped_sums")
TOLD = " Define A as j; so j = 3. Define B as f; so f = 2 * j = 2 * 3 = 1."


@pytest.mark.parametrize(
    ("written", "in_order"),
    [
        ("so b = f + j = 3 + 1 = 4", "so b = f + j = 1 + 3 = 4"),
        ("g = f + j = 3 + 1 = 4; so b = g + j = 3 + 4 = 2", "g = f + j = 1 + 3 = 4; so b = g + j = 4 + 3 = 2"),
        ("so b = f + j = 1 + 3 = 4", None),  # in order already
        ("so b = f + j = 3 + 2 = 0", None),  # no value of f
        ("so b = f - j = 3 - 1 = 2", None),  # a difference the other way round is another one
        ("so b = f + z = 3 + 1 = 4", None),  # z was never defined
    ],
)
def test_only_the_two_values_of_a_sum_are_exchanged_and_only_if_the_solution_gave_them(written, in_order):
    assert swapped_sums.put_in_order(f"{TOLD} Define C as b; {written}.") == f"{TOLD} Define C as b; {in_order or written}."


def test_right_solutions_stay_as_they_are_and_their_sums_the_other_way_round_are_found_again():
    world = load_world("mini")
    family = {"op_max": 6, "ip_max": 6, "modulus": 5, "num_symbols": 10, "format": "qp", "op_law": "uniform", "split_by": "problem"}
    settings = ProblemSetSettings.parse({"family": family, "num_problems": 200, "seed": 5}, "test")
    spoiled = 0
    for problem in (one for batch in generate(settings, world) for one in batch):
        right = document(problem, "qp").solution
        assert swapped_sums.put_in_order(right) == right
        wrong = swapped_sums._SUM.sub(lambda at: f"{at['first']} + {at['second']} = {at['other']} + {at['one']}", right)
        if wrong != right:
            spoiled += not verify(problem, wrong).correct
            assert swapped_sums.put_in_order(wrong) == right
    assert spoiled > 20, spoiled
