"""Whatever is done to a solution, the verdict is that of a slow second verifier; a right but redundant solution stays right."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.text import parse_problem, render_problem, render_question
from igsm_pipeline.text.retries import with_retries
from igsm_pipeline.verification import Error, verify
from tests.reference.plain_text import answer, solution
from tests.reference.random_problems import LENIENT, PLAIN, problems, random_problem
from tests.reference.slow_verifier import count_unnecessary, judge
from tests.reference.solution_damage import DAMAGES, HARMLESS, noise, redundant, retried

SEED = 20240731


def compare(problem: Problem, text: str, given_answer: str | None, finished: bool) -> str:
    """Assert that both verifiers agree in everything; return the kind of error ("" when correct)."""
    verdict = verify(problem, text, given_answer, finished=finished)
    kind, sentence, parameter = judge(problem, text, given_answer, finished)
    context = (text, given_answer, finished)
    assert (verdict.error, verdict.sentence, verdict.parameter) == (kind, sentence, parameter), context
    assert verdict.correct == (kind is None), context
    assert verdict.unnecessary_parameters == count_unnecessary(problem, text), context
    assert verdict.unnecessary_operations == text.count(";") - problem.op, context
    return kind or ""


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_solutions_get_the_verdict_of_the_slow_verifier(damage):
    rng = random.Random(f"{SEED} {damage.__name__}")
    for number in range(150):
        problem = random_problem(rng, PLAIN if number % 3 else LENIENT, rng.choice([2, 5, 23]), max_width=rng.choice([2, 4]))
        text = damage(rng, problem, solution(problem))
        if rng.random() < 0.2:
            text = noise(rng, problem, text)
        given_answer = rng.choice([None, answer(problem), f" {rng.randrange(problem.modulus)}"])
        compare(problem, text, given_answer, rng.random() < 0.7)


def test_retries_are_read_as_by_the_slow_verifier():
    """In right and in damaged solutions; a right one stays right, and what it takes back is counted."""
    rng = random.Random(f"{SEED} retries")
    kinds: Counter[str] = Counter()
    for _ in range(1500):
        problem = random_problem(rng, PLAIN, rng.choice([2, 5, 23]), max_width=rng.choice([2, 4]))
        text = rng.choice((*DAMAGES, *HARMLESS))(rng, problem, solution(problem)) if rng.random() < 0.5 else solution(problem)
        text = retried(rng, problem, text)
        if rng.random() < 0.3:
            text = text[: rng.randrange(len(text))]
        if rng.random() < 0.2:
            text = noise(rng, problem, text)
        given_answer = rng.choice([None, answer(problem)])
        kinds[compare(problem, text, given_answer, rng.random() < 0.7)] += 1
    assert kinds[""] > 100
    assert kinds["parse"] > 100
    assert kinds["truncated"] > 50


@settings(max_examples=100, deadline=None)
@given(problems(), st.integers(1, 9))
def test_a_right_solution_with_retries_is_right_and_says_how_many(problem, number):
    sentences = solution(problem)[1:-1].split(". ")
    taken_back = [(place % len(sentences), problem.name(problem.order[-1])) for place in range(number)]
    text = with_retries(sentences, sorted(taken_back))
    verdict = verify(problem, text, answer(problem))
    assert verdict == replace(verify(problem, solution(problem), answer(problem)), retries=number)
    assert verdict.correct


def test_a_solution_that_is_cut_behind_the_token_that_takes_back_is_truncated():
    rng = random.Random(f"{SEED} cut")
    for _ in range(50):
        problem = random_problem(rng, PLAIN, 5)
        sentences = solution(problem)[1:-1].split(". ")
        begun = "".join(f" {sentence}." for sentence in sentences[: rng.randrange(len(sentences))])
        text = f"{begun} Define {problem.name(problem.query)} as<|back|>"
        assert compare(problem, text, None, False) == "truncated"
        assert compare(problem, text, None, True) == "parse"
        assert [verify(problem, text, finished=finished).retries for finished in (False, True)] == [1, 0]


EXPECTED = {
    "wrong_number": {"wrong_reference", "wrong_arithmetic", "wrong_value"},
    "undefined_symbol": {"undefined_symbol"},
    "reused_symbol": {"redefined_symbol"},
    "dropped_sentence": {"undefined_symbol", "wrong_query"},
    "swapped_sentences": {"undefined_symbol"},
    "repeated_sentence": {"redefined_symbol"},
    "repeated_parameter": {"redefined_parameter"},
    "wrong_dependency": {"wrong_dependency", "wrong_value"},
    "extra_step": {"wrong_dependency"},
    "dropped_step": {"undefined_symbol", "parse"},
    "wrong_operator": {"parse"},
    "wrong_name": {"unknown_parameter", "parse", "wrong_dependency"},
    "wrong_query": {"wrong_query"},
    "early_end": {"truncated"},
    "noise": {"parse"},
}


@pytest.mark.parametrize("damage", [one for one in DAMAGES if one.__name__ in EXPECTED], ids=lambda damage: damage.__name__)
def test_each_damage_shows_as_its_own_kind_of_error(damage):
    rng = random.Random(f"{SEED} kinds {damage.__name__}")
    kinds: Counter[str] = Counter()
    for _ in range(60):
        problem = random_problem(rng)
        text = damage(rng, problem, solution(problem))
        kinds[str(verify(problem, text, answer(problem) if text.endswith(".") else None, finished=text.endswith(".")).error)] += 1
    assert EXPECTED[damage.__name__] <= kinds.keys(), kinds


@settings(max_examples=150, deadline=None)
@given(problems(), st.booleans(), st.booleans())
def test_a_right_solution_is_correct_from_record_and_from_text_alike(problem, with_answer, strict):
    text, given_answer = solution(problem), answer(problem) if with_answer else None
    parsed = parse_problem(render_problem(problem) + render_question(problem), PLAIN)
    for one in (problem, parsed):
        verdict = verify(one, text, given_answer, strict)
        assert verdict.correct
        assert (verdict.error, verdict.sentence, verdict.parameter) == (None, None, None)
        assert (verdict.final_answer_correct, verdict.unnecessary_parameters, verdict.unnecessary_operations) == (True, 0, 0)


@pytest.mark.parametrize("change", HARMLESS, ids=lambda change: change.__name__)
def test_harmless_changes_leave_a_right_solution_right(change):
    rng = random.Random(f"{SEED} harmless {change.__name__}")
    changed = 0
    for _ in range(60):
        problem = random_problem(rng)
        text = change(rng, problem, solution(problem))
        changed += text != solution(problem)
        assert verify(problem, text, answer(problem)).correct, text
    assert changed > 10


@settings(max_examples=150, deadline=None)
@given(problems(), st.randoms(use_true_random=False))
def test_the_redundancy_of_a_right_solution_is_counted(problem, rng):
    text = redundant(rng, problem, solution(problem))
    verdict = verify(problem, text, answer(problem))
    defined = set(re.findall(r"Define (.*?) as", text))
    assert verdict.correct
    assert verdict.unnecessary_parameters == len(defined - {problem.name(one) for one in problem.necessary})
    assert verdict.unnecessary_operations == text.count(";") - solution(problem).count(";")


def test_every_kind_of_error_can_be_reached():
    rng = random.Random(SEED)
    kinds = set()
    for number in range(1500):
        problem = random_problem(rng, PLAIN, max_width=2)
        damage = DAMAGES[number % len(DAMAGES)]
        kinds.add(verify(problem, damage(rng, problem, solution(problem)), rng.choice([None, " 1"]), finished=rng.random() < 0.5).error)
    assert kinds == {None, *Error}


@settings(max_examples=100, deadline=None)
@given(problems(), st.data())
def test_a_cut_solution_is_truncated_and_nothing_else(problem, data):
    text = solution(problem)
    length = data.draw(st.integers(0, len(text)))
    verdict = verify(problem, text[:length], finished=False)
    assert (verdict.error, verdict.sentence) == (Error.TRUNCATED, text[:length].count("."))
    assert not verdict.final_answer_correct
    compare(problem, text[:length], None, False)
    compare(problem, text[:length], None, True)


NOISE = st.one_of(
    st.text(),
    st.binary(),
    st.lists(st.sampled_from([" Define ", "North Quay's Vessel", " as ", "a", "; ", "so ", " = ", "1", " + ", "."])).map("".join),
)


@settings(max_examples=300, deadline=None)
@given(problems(), NOISE, st.one_of(st.none(), st.text(), st.binary(), st.integers(0, 99)), st.booleans(), st.booleans())
def test_any_text_gets_a_verdict(problem, text, given_answer, strict, finished):
    verdict = verify(problem, text, given_answer, strict, finished=finished)
    assert verdict.correct == (verdict.error is None)
    if strict and isinstance(text, str) and (given_answer is None or isinstance(given_answer, str)):
        compare(problem, text, given_answer, finished)
