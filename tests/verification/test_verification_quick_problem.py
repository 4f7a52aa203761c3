"""The one-pass reader of problem texts: what it takes it reads as the careful parser does, and it takes what the generator writes."""

from __future__ import annotations

import random
import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igsm_pipeline.errors import BadProblem
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, family_by_name, generate_block
from igsm_pipeline.text import parse_problem, render_problem, render_question
from igsm_pipeline.verification import verify
from igsm_pipeline.verification.quick_problem import quick_tables
from igsm_pipeline.verification.verifier import verify_by
from igsm_pipeline.world import load_world
from tests.reference.plain_text import answer, solution
from tests.reference.random_problems import LENIENT, PLAIN, problems, random_problem
from tests.reference.solution_damage import DAMAGES, redundant
from tests.reference.table_comparison import check_same

THINGS = [name for _, name in PLAIN.items()] + [name for one in PLAIN.hierarchies for name in one.categories]
OTHERS = [f"{owner}'s {thing}" for owner, thing in product(THINGS, THINGS)] + ["", "'s ", "North Quay", "North Quay's Trawler's Hold", "x's Hold"]
FRAGMENTS = ["", "x", ".", ". ", "'s ", " equals ", " each ", "the sum of each ", "the difference of each ", " and each ", ", each ", " more than "]
FRAGMENTS += [" times as much as ", "0", "7", "07", "23", "²", " ", " does ", "?", " How many ", "The number of each ", "Vessel", "Hold", "Cargo"]


@pytest.mark.parametrize("modulus", [2, 23, 101])
def test_what_it_reads_is_what_the_careful_parser_reads(modulus):
    @settings(max_examples=150, deadline=None)
    @given(problems(PLAIN, modulus), st.booleans())
    def check(problem, question_first):
        statements, question = render_problem(problem), render_question(problem)
        text = question + statements if question_first else statements + question
        quick = quick_tables(text, PLAIN, modulus)
        assert quick is not None
        check_same(quick, parse_problem(text, PLAIN, modulus), OTHERS)

    check()


def damaged(rng: random.Random, text: str) -> str:
    """A text with one to three changes: pieces of the language, names of the world, or its own sentences moved about."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        if rng.random() < 0.3:
            sentences = text.split(".")
            one, two = rng.randrange(len(sentences)), rng.randrange(len(sentences))
            sentences[one] = sentences[two]
            text = ".".join(sentences)
            continue
        start = rng.randrange(len(text) + 1)
        piece = rng.choice((*FRAGMENTS, rng.choice(THINGS), text[start : start + 9]))
        text = text[:start] + piece + text[min(len(text), start + rng.choice((0, 1, 3, len(piece), 30))) :]
    return text


def swapped(rng: random.Random, text: str) -> str:
    """A text in which one name stands for another throughout or once: an item or a category of the world, or a parameter of the text."""
    if rng.random() < 0.5:
        there = sorted(set(re.findall(r"each ([^.,]*?'s [^.,]*?)(?= equals|,|\.| and)", text)))
        return text.replace(f"each {rng.choice(there)}", f"each {rng.choice(there)}", rng.choice((1, 2, -1)))
    there = [name for name in THINGS if name in text]
    return text.replace(rng.choice(there), rng.choice((rng.choice(there), rng.choice(THINGS))), rng.choice((1, -1)))


def test_of_damaged_texts_it_takes_only_those_that_the_careful_parser_takes():
    rng, taken, left = random.Random(5), 0, 0
    for number in range(4000):
        problem = random_problem(rng, PLAIN, 23, max_width=rng.choice((2, 4)))
        parts = [render_problem(problem), render_question(problem)]
        text = (damaged if number % 2 else swapped)(rng, "".join(parts if rng.random() < 0.5 else parts[::-1]))
        quick = quick_tables(text, PLAIN, 23)
        try:
            careful = parse_problem(text, PLAIN, 23)
        except BadProblem:
            assert quick is None, text
            left += 1
            continue
        if quick is not None:
            check_same(quick, careful, [])
            taken += 1
    assert taken > 300 < left


def test_verdicts_by_its_tables_are_those_by_the_problem():
    rng = random.Random(7)
    for damage in (*DAMAGES, redundant):
        for _ in range(60):
            problem = random_problem(rng, PLAIN, rng.choice([2, 5, 23]), max_width=rng.choice([2, 4]))
            text, given_answer = damage(rng, problem, solution(problem)), rng.choice([None, answer(problem), " 1"])
            quick = quick_tables(render_problem(problem) + render_question(problem), PLAIN, problem.modulus)
            assert quick is not None
            finished = rng.random() < 0.7
            assert verify_by(quick, text, given_answer, finished=finished) == verify(problem, text, given_answer, finished=finished)


@pytest.mark.parametrize("family", [family_by_name("med"), family_by_name("hard"), FamilySettings(op_max=3, ip_max=4, modulus=5, op_law="uniform")])
@pytest.mark.parametrize("world", ["igsm", "mini"])
def test_it_takes_everything_that_the_generator_writes(family, world):
    names = load_world(world)
    for problem in generate_block(ProblemSetSettings(family=family, num_problems=64, block_size=64, split="all"), names, 0):
        text = render_problem(problem) + render_question(problem)
        quick = quick_tables(text, names, family.modulus)
        assert quick is not None, text
        check_same(quick, parse_problem(text, names, family.modulus), [])


def test_loose_names_and_absurd_moduli_are_for_the_careful_parser():
    problem = random_problem(random.Random(1), LENIENT)
    assert quick_tables(render_problem(problem) + render_question(problem), LENIENT, 23) is None
    problem = random_problem(random.Random(1), PLAIN)
    assert quick_tables(render_problem(problem) + render_question(problem), PLAIN, 1 << 40) is None
