"""The problem that is asked: drawn by the law, or read from what somebody typed; and the place in the text that a refusal is about."""

from __future__ import annotations

import re
from typing import NamedTuple

from igsm_pipeline.errors import BadInput, BadProblem, StageFailed
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.text import parse_problem
from igsm_pipeline.world import World

MAX_CHARACTERS = 16_000
MAX_PARAMETERS = 64
"""Of a typed problem; the law's own have at most 63."""
SIZES = {"med": 20, "hard": 28}
"""Most instance parameters of the paper's families."""
_NUMBERED = re.compile(r"statement (\d+)")
_QUESTION = re.compile(r"How many [^?]*\??")
_STRAIGHT = str.maketrans("\u2018\u2019\u00a0", "'' ")


class Typed(NamedTuple):
    """A text as the grammar has it, one space between words and one before the first, and where each character of it was typed."""

    text: str
    places: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Characters ``start`` to ``end`` of the text as places in what was typed."""
        last = len(self.places) - 1
        first = self.places[min(max(start, 0), last)]
        return first, max(first + 1, self.places[min(max(end - 1, 0), last)] + 1)


def read_typed(typed: str) -> Typed:
    """What somebody typed as the grammar wants it: line breaks and double spaces are one space, curly apostrophes straight.

    Raises:
        BadInput: nothing was typed, or too much.
    """
    if not typed.strip():
        raise BadInput("problem", "must hold statements and a question", typed, "type one, or draw one and change it")
    if len(typed) > MAX_CHARACTERS:
        raise BadInput("problem", f"must have at most {MAX_CHARACTERS} characters", len(typed), "ask about a shorter one")
    text, places = [], []
    for word in re.finditer(r"\S+", typed.translate(_STRAIGHT)):
        text.append(f" {word.group()}")
        places += [max(word.start() - 1, 0), *range(word.start(), word.end())]
    return Typed("".join(text), tuple(places))


def parse_typed(typed: Typed, world: World, modulus: int) -> Problem:
    """The problem behind a typed text, with a reference order.

    Raises:
        BadProblem: it is none of this world, or too large.
    """
    problem = parse_problem(typed.text, world, modulus)
    count = len(problem.instances) + len(problem.abstracts)
    if count > MAX_PARAMETERS:
        raise BadProblem("problem", f"must have at most {MAX_PARAMETERS} quantities", count, "ask about a smaller one")
    return problem.solved()


def place_of(error: BadInput, typed: Typed) -> tuple[int, int] | None:
    """The characters that a refusal is about, as (start, end) in what was typed; None where it is about no place."""
    if error.field == "problem":
        return None
    start, end = _part(error.field, typed.text)
    got = error.got if isinstance(error.got, str) else str(error.got) if isinstance(error.got, int) else ""
    at = typed.text.find(got, start, end) if got else -1
    if at < 0 and got:
        start, end, at = 0, len(typed.text), typed.text.find(got)
    return typed.span(at, at + len(got)) if at >= 0 else typed.span(*_part(error.field, typed.text))


def _part(field: str, text: str) -> tuple[int, int]:
    """Start and end of the statement or question that a field names; of the whole text where it names none."""
    question = _QUESTION.search(text)
    if field == "question":
        return question.span() if question else (1, len(text))
    numbered = _NUMBERED.fullmatch(field)
    if numbered is None:
        return 1, len(text)
    first = question.end() if question and question.start() <= 1 else 0
    last = question.start() if question and question.start() > 1 else len(text)
    ends = [found.end() for found in re.finditer(r"\.(?= |$)", text[first:last])]
    bounds = [first, *(first + end for end in ends)]
    number = int(numbered[1])
    if number >= len(bounds):
        return 1, len(text)
    start = bounds[number] + 1
    return start, bounds[number + 1] if number + 1 < len(bounds) else last


def check_op(op: int | None, family: FamilySettings) -> None:
    """Refuse a number of operations that no problem of a family can have.

    Raises:
        BadInput: it is below 1 or above the family's symbols.
    """
    if op is not None and not 1 <= op <= family.num_symbols:
        raise BadInput("op", f"must be between 1 and {family.num_symbols}, the letters that solutions of this family have", op, "choose another")


def draw_problem(family: FamilySettings, world: World, op: int | None, seed: int) -> Problem:
    """One test problem, the same one for the same arguments as ``igsm solve`` draws.

    Raises:
        BadInput: no problem of that family has so many operations.
    """
    from igsm_pipeline.problems.law.blocks import draw_test_problem  # noqa: PLC0415  (loads the compiler)

    check_op(op, family)
    try:
        return draw_test_problem(family, world, op, seed)
    except StageFailed as error:
        raise BadInput("op", "must be one that the family has problems of", op, f"choose another ({error})") from None


def families_of(family: FamilySettings) -> dict[str, FamilySettings]:
    """The families that a model can be asked about: its own, and problems as large as those of the paper's families where these are larger.

    Ours: of med and hard only the size of the structure is taken, so that numbers, letters and form stay those that the model knows.
    """
    larger = {name: size for name, size in SIZES.items() if size > family.ip_max}
    return {"own": family} | {name: family.model_copy(update={"ip_max": size}) for name, size in larger.items()}
