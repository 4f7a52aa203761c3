"""A typed problem is read kindly, and a refusal points to the place in what was typed."""

from __future__ import annotations

import pytest

from igsm_pipeline.errors import BadInput, BadProblem
from igsm_pipeline.play.asking import MAX_CHARACTERS, MAX_PARAMETERS, check_op, draw_problem, families_of, parse_typed, place_of, read_typed
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.text import document
from igsm_pipeline.toolbox.solving import draw_problem_text
from igsm_pipeline.world import World, load_world

QUESTION = "How many Hiking Daypack does Computer Lab have?"
STATEMENTS = (
    "The number of each Computer Lab's Hiking Daypack equals 4 more than each Film Workshop's Backpack.",
    "The number of each Computer Lab's Canvas Rucksack equals 1.",
    "The number of each Film Workshop's Canvas Rucksack equals 3.",
)
FAMILY = FamilySettings(op_max=3, ip_max=4, modulus=5, num_symbols=10, split_by="problem", op_law="uniform", format="qp")


@pytest.fixture(scope="module")
def world() -> World:
    return load_world("mini")


def refused(text: str, world: World) -> tuple[BadProblem, str | None]:
    """The error, and the typed characters that it points to."""
    typed = read_typed(text)
    with pytest.raises(BadProblem) as caught:
        parse_typed(typed, world, 5)
    place = place_of(caught.value, typed)
    return caught.value, None if place is None else text[slice(*place)]


@pytest.mark.parametrize(
    "text",
    [
        " ".join([QUESTION, *STATEMENTS]),
        " ".join([*STATEMENTS, QUESTION]),
        "\n".join([QUESTION, "", *STATEMENTS]) + "\n",
        "   " + "  ".join([QUESTION, *STATEMENTS]).replace("'", "\u2019"),
    ],
    ids=["qp", "pq", "lines", "curly"],
)
def test_breaks_spaces_and_curly_apostrophes_do_not_matter(text: str, world: World) -> None:
    problem = parse_typed(read_typed(text), world, 5)
    assert document(problem, "qp").prompt == " " + " ".join([QUESTION, *STATEMENTS])
    assert problem.order[-1] == problem.query


@pytest.mark.parametrize("first", [True, False], ids=["question first", "question last"])
@pytest.mark.parametrize("between", [" ", "\n\n"], ids=["one line", "lines"])
def test_the_place_of_an_error_is_the_words_that_are_wrong(world: World, first: bool, between: str) -> None:
    def spoilt(old: str, new: str) -> str:
        parts = [QUESTION, *STATEMENTS] if first else [*STATEMENTS, QUESTION]
        return between.join(part.replace(old, new) for part in parts)

    error, marked = refused(spoilt("Film Workshop's Canvas Rucksack equals 3", "Film Workshop's Banana equals 3"), world)
    assert error.field == "statement 2"
    assert marked == "Film Workshop's Banana"
    assert refused(spoilt("equals 1", "equals 7"), world)[1] == "7"
    _, marked = refused(spoilt("equals 1.", "is 1."), world)
    assert marked is not None
    assert marked.startswith("The number of each Computer Lab's Canvas Rucksack is 1")
    _, marked = refused(spoilt("does Computer Lab have", "does Moon have"), world)
    assert marked == "How many Hiking Daypack does Moon have?"
    error, marked = refused(spoilt("equals 1", "equals each Film Workshop's Hiking Daypack"), world)
    assert (error.field, marked) == ("text", "Film Workshop's Hiking Daypack")


def test_a_text_that_is_no_problem_is_marked_as_a_whole_and_none_has_no_place(world: World) -> None:
    assert refused("hello  world", world)[1] == "hello  world"
    for text, rule in (("  \n", "must hold statements and a question"), ("x" * (MAX_CHARACTERS + 1), "must have at most")):
        with pytest.raises(BadInput, match=rule):
            read_typed(text)


def test_a_problem_of_too_many_quantities_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = read_typed(" ".join([QUESTION, *STATEMENTS]))
    problem = parse_typed(typed, world, 5)
    count = len(problem.instances) + len(problem.abstracts)
    assert count <= MAX_PARAMETERS
    monkeypatch.setattr("igsm_pipeline.play.asking.MAX_PARAMETERS", count - 1)
    with pytest.raises(BadProblem, match=f"must have at most {count - 1} quantities, got {count}"):
        parse_typed(typed, world, 5)


def test_a_drawn_problem_is_the_one_that_solve_draws_and_an_impossible_op_is_refused(world: World) -> None:
    assert document(draw_problem(FAMILY, world, 2, 6), "qp").prompt == draw_problem_text(FAMILY, world, 2, 6)
    for op in (0, 11):
        with pytest.raises(BadInput, match="op must be between 1 and 10"):
            check_op(op, FAMILY)
    check_op(None, FAMILY)


def test_other_families_change_the_size_alone(world: World) -> None:
    families = families_of(FAMILY)
    assert list(families) == ["own", "med", "hard"]
    assert families["own"] == FAMILY
    assert families["med"] == FAMILY.model_copy(update={"ip_max": 20})
    assert list(families_of(FAMILY.model_copy(update={"ip_max": 20}))) == ["own", "hard"]
