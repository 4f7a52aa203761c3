"""strict=False accepts exactly what the law lists, strict refuses it; both refuse what the released checker refuses too."""

from __future__ import annotations

import pytest

from igsm_pipeline.text import parse_problem
from igsm_pipeline.verification import Error, verify
from tests.reference.random_problems import PLAIN

PROBLEM = parse_problem(
    " The number of each North Quay's Trawler equals 5. The number of each North Quay's Sloop equals 3 times as much as each North Quay's Trawler."
    " The number of each Salt Pier's Tug equals the sum of each North Quay's Trawler and each North Quay's Sloop."
    " How many Tug does Salt Pier have?",
    PLAIN,
)
FIRST = " Define North Quay's Trawler as a; so a = 5."
SECOND = " Define North Quay's Sloop as b; so b = 3 * a = 3 * 5 = 15."
THIRD = " Define Salt Pier's Tug as c; so c = a + b = 5 + 15 = 20."
GOOD = FIRST + SECOND + THIRD

ACCEPTED = {
    "a constant in the symbolic part that differs": (GOOD.replace("3 * a", "4 * a"), Error.WRONG_REFERENCE, 1),
    "a wrong value with the right final answer": (
        FIRST
        + " Define North Quay's Sloop as b; so b = 2 * a = 2 * 5 = 10."
        + " Define Salt Pier's Tug as c; t = a + b = 5 + 10 = 15; so c = 5 + t = 5 + 15 = 20.",
        Error.WRONG_VALUE,
        1,
    ),
    "so with another symbol": (GOOD.replace("so b", "so z"), Error.PARSE, 1),
    "another two-letter word": (GOOD.replace("so b", "is b"), Error.PARSE, 1),
    "an unused constant step": (GOOD.replace("as b; ", "as b; q = 7; "), Error.PARSE, 1),
    "each in a definition": (GOOD.replace("Define Salt", "Define each Salt"), Error.UNKNOWN_PARAMETER, 2),
    "no leading space": (GOOD[1:], Error.PARSE, 0),
    "no final dot": (GOOD[:-1], Error.PARSE, 2),
    "a pair without an edge, by a number": (FIRST + " Define Salt Pier's Trawler as x; so x = 9." + SECOND + THIRD, Error.UNKNOWN_PARAMETER, 1),
    "a parameter again under a new symbol": (FIRST + FIRST.replace("a; so a", "z; so z") + SECOND + THIRD, Error.REDEFINED_PARAMETER, 1),
}


@pytest.mark.parametrize(("text", "error", "sentence"), ACCEPTED.values(), ids=ACCEPTED)
def test_lenient_accepts_what_strict_refuses(text, error, sentence):
    assert verify(PROBLEM, text, " 20", strict=False).correct
    assert verify(PROBLEM, text, strict=False).correct
    strict = verify(PROBLEM, text, " 20")
    assert (strict.error, strict.sentence) == (error, sentence)


REFUSED = {
    "a step without the symbolic part": (GOOD.replace("3 * a = ", ""), Error.PARSE, 1),
    "an n-ary sum": (GOOD.replace("a + b = 5 + 15", "a + b + 0 = 5 + 15 + 0"), Error.PARSE, 2),
    "a result outside 0..M-1": (GOOD.replace("= 15.", "= 38."), Error.WRONG_ARITHMETIC, 1),
    "a constant outside 0..M-1": (GOOD.replace("3 * a = 3 *", "26 * a = 26 *"), Error.WRONG_REFERENCE, 1),
    "a number outside 0..M-1": (GOOD.replace("a = 5.", "a = 28."), Error.WRONG_VALUE, 0),
    "a wrong value with a wrong answer": (GOOD.replace("a = 5.", "a = 6."), Error.WRONG_VALUE, 0),
    "a wrong copy of a symbol's number": (GOOD.replace("= 5 + 15", "= 4 + 15"), Error.WRONG_REFERENCE, 2),
    "a used constant step": (GOOD.replace("as b; so b = 3 * a", "as b; q = 3; so b = q * a"), None, 1),
    "a pair without an edge, by a computation": (
        FIRST + " Define Salt Pier's Trawler as x; so x = a = 5." + SECOND + THIRD,
        Error.UNKNOWN_PARAMETER,
        1,
    ),
    "a parameter again under the same symbol": (FIRST + FIRST + SECOND + THIRD, Error.REDEFINED_SYMBOL, 1),
    "a wrong query": (FIRST + THIRD.replace("c = a + b = 5 + 15 = 20", "c = 20"), Error.WRONG_DEPENDENCY, 1),
    "nothing": ("", Error.PARSE, 0),
}


@pytest.mark.parametrize(("text", "error", "sentence"), REFUSED.values(), ids=REFUSED)
def test_both_refuse(text, error, sentence):
    given = " 6" if error == Error.WRONG_VALUE else " 20"
    for strict in (True, False):
        verdict = verify(PROBLEM, text, given, strict)
        assert not verdict.correct
        assert verdict.sentence == sentence
        if error is not None:
            assert verdict.error == error


def test_a_number_outside_the_residues_is_refused_even_with_the_right_answer():
    verdict = verify(PROBLEM, GOOD.replace("a = 5.", "a = 28."), " 20", strict=False)
    assert (verdict.error, verdict.sentence) == (Error.WRONG_VALUE, 0)


def test_what_lenient_accepts_beyond_the_law_does_not_count_as_right_parameter():
    again, _, _ = ACCEPTED["a parameter again under a new symbol"]
    assert verify(PROBLEM, again, strict=False).unnecessary_parameters == 0
    assert verify(PROBLEM, again, strict=False).unnecessary_operations == 1


def test_the_final_answer_is_judged_apart():
    assert verify(PROBLEM, "nonsense", " 20").final_answer_correct
    assert verify(PROBLEM, "nonsense ... = 20.").final_answer_correct
    assert not verify(PROBLEM, GOOD, " 19").final_answer_correct
    assert not verify(PROBLEM, "nonsense = 120.").final_answer_correct
    assert verify(PROBLEM, GOOD, " 20", finished=False).error == Error.TRUNCATED
    assert verify(PROBLEM, FIRST, " 20", finished=False).error == Error.WRONG_QUERY
    assert verify(PROBLEM, FIRST, finished=False).error == Error.TRUNCATED
