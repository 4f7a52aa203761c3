"""Texts are exactly those of the law, on problems small enough to write out by hand."""

from __future__ import annotations

import pytest

from igsm_pipeline.errors import BadProblem
from igsm_pipeline.problems.problem import ABSTRACT, INSTANCE, MORE, TIMES, Expression, Parameter, Problem
from igsm_pipeline.text import document, render_answer, render_problem, render_question, render_solution

A, B, C, D = (Parameter(INSTANCE, 0, j, k) for j in (0, 1) for k in (0, 1))
P, Q, R = (Parameter(INSTANCE, 1, j, k) for j, k in ((0, 0), (0, 1), (1, 0)))
VESSELS, CARGO = Parameter(ABSTRACT, 0, 0, 1), Parameter(ABSTRACT, 0, 0, 2)
ITEMS = (("Quay", "Pier", "Mole"), ("Tug", "Sloop"), ("Crate", "Drum"))


def make(statements, query, order, symbols="abcdefghijklmnop", modulus=23):
    return Problem(modulus, ("Harbour", "Vessel", "Cargo"), ITEMS, statements, query, tuple(order), tuple(symbols))


NUMBERS = {A: Expression((), 6), B: Expression((), 9), P: Expression((), 3), Q: Expression((), 22), R: Expression((), 20)}


@pytest.mark.parametrize(
    ("expression", "text", "steps"),
    [
        (Expression((), 17), "17", "so x = 17"),
        (Expression((A,)), "each Quay's Tug", "so x = a = 6"),
        (Expression((A,), 20, MORE), "20 more than each Quay's Tug", "so x = 20 + a = 20 + 6 = 3"),
        (Expression((A,), 20, TIMES), "20 times as much as each Quay's Tug", "so x = 20 * a = 20 * 6 = 5"),
        (Expression((A, B)), "the sum of each Quay's Tug and each Quay's Sloop", "so x = a + b = 6 + 9 = 15"),
        (Expression((A, B), None, None, True), "the difference of each Quay's Tug and each Quay's Sloop", "so x = a - b = 6 - 9 = 20"),
        (
            Expression((A, B), 2, TIMES, True),
            "2 times as much as the difference of each Quay's Tug and each Quay's Sloop",
            "y = a - b = 6 - 9 = 20; so x = 2 * y = 2 * 20 = 17",
        ),
        (
            Expression((A, B, P), 0, MORE),
            "0 more than the sum of each Quay's Tug, each Quay's Sloop and each Tug's Crate",
            "y = a + b = 6 + 9 = 15; z = y + c = 15 + 3 = 18; so x = 0 + z = 0 + 18 = 18",
        ),
        (
            Expression((A, B, P, Q)),
            "the sum of each Quay's Tug, each Quay's Sloop, each Tug's Crate and each Tug's Drum",
            "y = a + b = 6 + 9 = 15; z = y + c = 15 + 3 = 18; so x = z + d = 18 + 22 = 17",
        ),
    ],
)
def test_every_form_of_statement_and_of_its_sentence(expression, text, steps):
    problem = make({**NUMBERS, C: expression}, C, [A, B, P, Q, C], "abcdxyz")
    assert render_problem(problem).endswith(f". The number of each Pier's Tug equals {text}.")
    assert render_solution(problem).endswith(f" Define Pier's Tug as x; {steps}.")


def test_a_whole_document_in_both_formats():
    problem = make({B: Expression((A,), 5, TIMES), A: Expression((), 6)}, B, [A, B], "Zq", 7)
    statements = " The number of each Quay's Sloop equals 5 times as much as each Quay's Tug. The number of each Quay's Tug equals 6."
    question = " How many Sloop does Quay have?"
    solution = " Define Quay's Tug as Z; so Z = 6. Define Quay's Sloop as q; so q = 5 * Z = 5 * 6 = 2."
    assert render_problem(problem) == statements
    assert render_question(problem) == question
    assert document(problem, "pq") == (statements + question, solution, " 2")
    assert document(problem, "qp") == (question + statements, solution, " 2")


def test_an_abstract_parameter_without_children_is_zero():
    problem = make(NUMBERS, Parameter(ABSTRACT, 0, 2, 1), [Parameter(ABSTRACT, 0, 2, 1)], "M")
    assert render_question(problem) == " How many Vessel does Mole have?"
    assert render_solution(problem) == " Define Mole's Vessel as M; so M = 0."
    assert render_answer(problem) == " 0"


def test_a_sum_runs_over_children_and_a_lone_child_is_copied():
    crates = Parameter(ABSTRACT, 1, 1, 2)
    problem = make(NUMBERS, crates, [A, B, VESSELS, R, crates], "abvrc")
    assert render_solution(problem).endswith(
        "Define Quay's Vessel as v; so v = a + b = 6 + 9 = 15. Define Sloop's Crate as r; so r = 20. Define Sloop's Cargo as c; so c = r = 20."
    )


def test_a_sum_of_products_takes_two_products_their_sum_then_product_and_sum_in_turn():
    items = (("Quay",), ("Tug", "Sloop", "Barge"), ("Crate",))
    held = [Parameter(INSTANCE, 0, 0, k) for k in range(3)]
    crates = [Parameter(INSTANCE, 1, k, 0) for k in range(3)]
    inner = [Parameter(ABSTRACT, 1, k, 2) for k in range(3)]
    statements = {one: Expression((), n) for n, one in enumerate(held + crates, 2)}
    problem = Problem(23, ("Harbour", "Vessel", "Cargo"), items, statements, CARGO, (*held, *crates, *inner, CARGO), tuple("abcdefghixstuvwyz"))
    assert problem.op == 9 + 5
    assert render_solution(problem).endswith(
        " Define Quay's Cargo as x; s = a * g = 2 * 5 = 10; t = b * h = 3 * 6 = 18; u = s + t = 10 + 18 = 5;"
        " v = c * i = 4 * 7 = 5; so x = u + v = 5 + 5 = 10."
    )


def test_a_problem_without_order_or_with_too_few_symbols_is_refused():
    with pytest.raises(BadProblem, match="order must hold the necessary parameters"):
        render_solution(make(NUMBERS, A, []))
    with pytest.raises(BadProblem, match="symbols must be as many"):
        render_solution(make(NUMBERS, A, [B, A], "a"))
    with pytest.raises(BadProblem, match="parents before"):
        render_solution(make({A: Expression((B,)), B: Expression((), 1)}, A, [A, B]))
