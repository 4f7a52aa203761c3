"""Reading takes time linear in the length of the text: counted in operations, not in seconds."""

from __future__ import annotations

import re
from functools import partial

import pytest

from igsm_pipeline.errors import BadProblem
from igsm_pipeline.text import BadSolution, parse_problem, parse_solution, solution, wording
from igsm_pipeline.verification import search, verify
from tests.reference.operation_counts import CountedPattern, Counter, patterns_of
from tests.reference.random_problems import PLAIN
from tests.verification.test_verification_lenient import GOOD, PROBLEM

LENGTH = 1500
SOLUTIONS = {
    "heads without end": " Define ",
    "as": " as ",
    "as a symbol": " as x; ",
    "steps": "a = a + a = 1 + 1 = 2; ",
    "unused constants": "q = 7; ",
    "equal signs": "=",
    "digits": "1",
    "words": "word ",
    "sentences": GOOD,
    "names": " Define North Quay's Trawler as a",
}
STATEMENT = " The number of each North Quay's Trawler equals 5."
PROBLEMS = {
    "equals": " equals ",
    "owners": "North Quay's ",
    "each": " and each North Quay's Trawler",
    "commas": ", each North Quay's Sloop",
    "statements": STATEMENT,
    "questions": " How many Trawler does North Quay have?",
    "does": " does ",
    "digits": "7",
}


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter, counted = Counter(), {}
    for module in (search, solution, wording):
        for name, found in patterns_of(module).items():
            for one in (found,) if not isinstance(found, tuple) else found:
                counted.setdefault(one, CountedPattern(one, counter))
            monkeypatch.setattr(module, name, tuple(counted[one] for one in found) if isinstance(found, tuple) else counted[found])
    assert len(counted) >= 12
    verify(PROBLEM, GOOD)  # makes the problem's tables, once
    return counter


def check_linear(counter: Counter, run, make) -> None:
    """Doubling the length must not more than double what it adds."""
    short, middle, long = (counter(partial(run, make(scale * LENGTH))) for scale in (1, 2, 4))
    assert long - middle <= 2.2 * (middle - short) + 500, (short, middle, long)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("unit", SOLUTIONS)
def test_verification_is_linear(counter, unit, strict, finished):
    for start in ("", GOOD, " Define North Quay's Trawler as a; "):
        check_linear(
            counter,
            lambda text: verify(PROBLEM, text, strict=strict, finished=finished),
            lambda length, start=start: start + SOLUTIONS[unit] * (length // len(SOLUTIONS[unit])),
        )


def _parse_solution(text: str) -> None:
    with pytest.raises(BadSolution):
        parse_solution(text + "!")


def _parse_problem(text: str) -> None:
    with pytest.raises(BadProblem):
        parse_problem(text, PLAIN)


@pytest.mark.parametrize("unit", SOLUTIONS)
def test_parsing_a_solution_is_linear(counter, unit):
    check_linear(counter, _parse_solution, lambda length: SOLUTIONS[unit] * (length // len(SOLUTIONS[unit])))


@pytest.mark.parametrize("unit", PROBLEMS)
def test_parsing_a_problem_is_linear(counter, unit):
    for start, end in (
        ("", ""),
        (STATEMENT[:-2] + "the sum of each North Quay's Sloop", ". How many Trawler does North Quay have?"),
        (STATEMENT[:-9], "?"),
    ):
        check_linear(counter, _parse_problem, lambda length, start=start, end=end: start + PROBLEMS[unit] * (length // len(PROBLEMS[unit])) + end)


def test_the_counter_sees_a_quadratic_pattern():
    counter = Counter()
    slow = CountedPattern(re.compile("x*x*y"), counter)
    with pytest.raises(AssertionError):
        check_linear(counter, slow.match, lambda length: "x" * (length // 10))
