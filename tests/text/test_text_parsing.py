"""The parser inverts the renderer, and says what is wrong with everything else."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from igsm_pipeline.errors import BadProblem
from igsm_pipeline.text import BadSolution, parse_problem, parsing, read_solution, render_problem, render_question, render_solution
from igsm_pipeline.world.world import parse_world
from tests.reference.random_problems import LENIENT, PLAIN, by_name, make_world, problems

QUICK = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
STATEMENT = " The number of each North Quay's Trawler equals 5."
QUESTION = " How many Trawler does North Quay have?"


@pytest.mark.parametrize("world", [PLAIN, LENIENT], ids=["plain", "lenient"])
@pytest.mark.parametrize("modulus", [2, 23, 101])
def test_rendering_what_was_parsed_gives_the_text_back(world, modulus):
    @QUICK
    @given(problems(world, modulus), st.booleans())
    def check(problem, question_first):
        statements, question = render_problem(problem), render_question(problem)
        parsed = parse_problem(question + statements if question_first else statements + question, world, modulus)
        assert (render_problem(parsed), render_question(parsed)) == (statements, question)

    check()


@pytest.mark.parametrize("number", [3, 4, 5, 6, 7])
def test_a_text_with_more_readings_than_are_tried_is_refused_though_one_was_found(number, monkeypatch):
    """Each name has two readings; two of all are right, and with many names the second comes after those that are tried."""
    monkeypatch.setattr(parsing, "MAX_READINGS", 40)
    low = [f"Low {letter}" for letter in "abcdefghij"]
    layers = {"Top": ["Bag", "T b", "T c", "T d"], "Mid": ["Bag", *low], "Deep": low, "End": ["E a", "E b", "E c", "E d"]}
    document = {"lenient": True, "hierarchies": [{"layers": [{"category": name, "subcategories": {"x": items}} for name, items in layers.items()]}]}
    statements = "".join(f" The number of each Bag's {low[index]} equals {index + 1}." for index in range(number))
    with pytest.raises(BadProblem, match=r"must have one reading|must have at most 40 readings to try"):
        parse_problem(f"{statements} How many {low[0]} does Bag have?", parse_world(json.dumps(document).encode(), "doubled.json"))


@pytest.mark.parametrize("world", [PLAIN, LENIENT], ids=["plain", "lenient"])
def test_the_graph_from_text_equals_the_one_the_text_was_made_from(world):
    @QUICK
    @given(problems(world))
    def check(problem):
        parsed = parse_problem(render_problem(problem) + render_question(problem), world)
        expected = by_name(problem)
        assert by_name(parsed) == expected
        assert {parsed.name(one) for one in (*parsed.instances, *parsed.abstracts)} == expected.keys()
        assert (parsed.op, parsed.values[parsed.query]) == (problem.op, problem.values[problem.query])

    check()


@pytest.mark.parametrize("world", [PLAIN, LENIENT], ids=["plain", "lenient"])
def test_order_and_symbols_are_read_from_a_solution(world):
    @QUICK
    @given(problems(world))
    def check(problem):
        parsed = read_solution(parse_problem(render_problem(problem) + render_question(problem), world), render_solution(problem))
        assert [parsed.name(one) for one in parsed.order] == [problem.name(one) for one in problem.order]
        assert parsed.symbols == problem.symbols

    check()


def test_a_solution_of_another_problem_is_refused_with_its_sentence():
    problem = parse_problem(STATEMENT + QUESTION, PLAIN)
    with pytest.raises(BadProblem, match="solution, sentence 0 must define a parameter of the problem"):
        read_solution(problem, " Define North Quay's Sloop as b; so b = 5.")
    with pytest.raises(BadProblem, match="solution, sentence 1 must define a parameter of the problem, for the first time"):
        read_solution(problem, " Define North Quay's Trawler as b; so b = 5. Define North Quay's Trawler as c; so c = 5.")
    with pytest.raises(BadSolution):
        read_solution(problem, "no solution")


def test_items_are_numbered_in_world_order_and_unnamed_ones_dropped():
    text = (
        " The number of each Tide Dock's Sloop equals 1. The number of each Salt Pier's Trawler equals each Old Basin's Vessel."
        + " How many Sloop does Tide Dock have?"
    )
    problem = parse_problem(text, PLAIN)
    assert problem.categories == ("Harbour", "Vessel")
    assert problem.items == (("Salt Pier", "Old Basin", "Tide Dock"), ("Trawler", "Sloop"))


def test_an_apostrophe_in_a_name_does_not_split_it():
    text = (
        " The number of each Governor's District's Trader Joe's equals 3 more than each Sam's Club's Bird's Eye."
        " The number of each Sam's Club's Bird's Eye equals 4. The number of each Governor's District's Sam's Club equals 0."
        " How many Product does Governor's District have?"
    )
    problem = parse_problem(text, LENIENT)
    assert problem.items == (("Governor's District",), ("Sam's Club", "Trader Joe's"), ("Bird's Eye",))
    assert problem.values[problem.query] == 0


def test_a_text_with_two_readings_is_refused_and_both_are_named():
    world = make_world([{"Top": [["Ann"]], "Mid": [["Bob", "Cy"]], "Low": [["Bob", "Cy"]], "End": [["Cy"]]}], lenient=True)
    with pytest.raises(BadProblem, match=r"must have one reading.*Mid: Bob; Low: Cy.*Low: Bob; End: Cy"):
        parse_problem(" The number of each Bob's Cy equals 1. How many Cy does Bob have?", world)


def test_a_repeated_name_with_one_sensible_reading_is_read():
    world = make_world([{"Top": [["Ann"]], "Mid": [["Bob", "Cy"]], "Low": [["Bob", "Cy"]], "End": [["Di"]]}], lenient=True)
    text = " The number of each Ann's Bob equals 1. The number of each Bob's Cy equals each Ann's Bob. How many Cy does Bob have?"
    assert parse_problem(text, world).items == (("Ann",), ("Bob",), ("Cy",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "question must be"),
        (STATEMENT, "question must be"),
        (QUESTION, "statements must begin"),
        (STATEMENT[1:] + QUESTION, "statements must begin"),
        (STATEMENT + QUESTION[:-1], "question must be"),
        (STATEMENT + QUESTION + " ", "question must be"),
        (STATEMENT[:-1] + QUESTION, "question must be"),
        (STATEMENT + STATEMENT + QUESTION, "statement 1 must define a parameter that no other"),
        (STATEMENT.replace("5", "05") + QUESTION, 'statement 0 must continue after equals with "{n}"'),
        (STATEMENT.replace("5", "23") + QUESTION, "must hold a number below 23, got 23"),
        (STATEMENT.replace("5", "9" * 5000) + QUESTION, "statement 0 must"),
        (STATEMENT.replace("5", "each North Quay's Trawler") + QUESTION, "must define no parameter by itself"),
        (
            STATEMENT.replace("5", "each North Quay's Sloop") + QUESTION,
            'must have a statement for every instance parameter it uses, got "North Quay\'s Sloop"',
        ),
        (STATEMENT.replace("5", "each North Quay's Spaceship") + QUESTION, 'statement 0 must use names of the world, got "North Quay\'s Spaceship"'),
        (STATEMENT.replace("5", "every North Quay's Sloop") + QUESTION, "write it as the generator does"),
        (STATEMENT + STATEMENT.replace("Trawler", "Spaceship") + QUESTION, "correct the name; the statements before it use names of the world"),
        (STATEMENT.replace("5", "the sum of each North Quay's Vessel") + QUESTION, "statement 0 must"),
        (STATEMENT.replace("5", "the sum of each North Quay's Vessel and each North Quay's Vessel") + QUESTION, "must use each parameter once"),
        (STATEMENT.replace("5", "each Trawler's Cargo") + QUESTION, "must stay within the layers"),
        (STATEMENT.replace("5", "each Ashby's Street") + QUESTION, "statement 0 must"),
        (STATEMENT + " How many Brick Villa does North Quay have?", "question must name"),
        (
            " The number of each Sloop's Ice Room equals 1." + STATEMENT + QUESTION,
            "must state which item holds each item below the top layer, got 'Sloop'",
        ),
    ],
)
def test_what_is_no_problem_is_refused_with_its_place(text, message):
    with pytest.raises(BadProblem, match=message):
        parse_problem(text, PLAIN)


def test_a_cycle_of_two_is_refused():
    other = " The number of each North Quay's Sloop equals 2 more than each North Quay's Trawler."
    with pytest.raises(BadProblem, match="must define no parameter by itself"):
        parse_problem(STATEMENT.replace("5", "each North Quay's Sloop") + other + QUESTION, PLAIN)


FRAGMENTS = [
    "The number of each ",
    " equals ",
    "each ",
    "'s ",
    "North Quay",
    "Trawler",
    "Vessel",
    " and each ",
    ", each ",
    "the sum of ",
    "5",
    " more than ",
    ". ",
    "?",
    " How many ",
]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.binary(), st.lists(st.sampled_from(FRAGMENTS)).map("".join)))
@example(STATEMENT + QUESTION + "\udcff")
def test_any_text_gives_a_problem_or_the_one_error(text):
    try:
        problem = parse_problem(text, PLAIN)
    except BadProblem:
        return
    assert render_problem(problem) + render_question(problem) in (text, text.decode() if isinstance(text, bytes) else text)


@settings(max_examples=150, deadline=None)
@given(problems(LENIENT), st.data())
def test_a_damaged_text_gives_another_problem_or_the_one_error(problem, data):
    text = render_problem(problem) + render_question(problem)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    damaged = text[:start] + data.draw(st.sampled_from(["", "x", *FRAGMENTS])) + text[end:]
    try:
        parsed = parse_problem(damaged, LENIENT)
    except BadProblem:
        return
    assert damaged in (render_problem(parsed) + render_question(parsed), render_question(parsed) + render_problem(parsed))
