"""What a problem text says before anyone knows its names: statements, question, and the names in them as written.

No world's name, however lenient, holds "." or "?" or the word "each", so texts split on these; every other fixed phrase
(" equals ", " does ", "'s ") may stand in a name, and is split where it yields known names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from igsm_pipeline.errors import BadProblem
from igsm_pipeline.problems.problem import MORE, TIMES
from igsm_pipeline.text.solution import NUMBER

STATEMENT = "The number of each "
_WAY_OUT = "write it as the generator does"
_CONSTANT = re.compile(f"(?P<constant>{NUMBER})(?:(?P<form> more than | times as much as )(?P<rest>each .+|the .+))?", re.DOTALL)
SUM, DIFFERENCE, EACH = "the sum of each ", "the difference of each ", " and each "
_FORMS = {" more than ": MORE, " times as much as ": TIMES}


class RawExpression(NamedTuple):
    """The right side of a statement with its parents' names as written; see ``problems.problem.Expression``."""

    parents: tuple[str, ...]
    constant: int | None
    form: str | None
    difference: bool


Splits = tuple[tuple[str, str], ...]
"""The texts before and after a phrase, for each place where it stands."""


def read_wording(text: str) -> tuple[tuple[Splits, ...], Splits]:
    """Statements and question of a problem text in format pq or qp.

    Returns:
        Each statement split at " equals " as (name, expression), and the question split at " does " as (thing, owner).

    Raises:
        BadProblem: the text has not that shape.
    """
    statements, question = split_wording(text)
    raw = tuple(_read_statement(number, part) for number, part in enumerate(statements))
    return raw, tuple(_splits(question, " does "))


def split_wording(text: str) -> tuple[list[str], str]:
    """The statements of a problem text, each without the dot that ends it, and "{thing} does {owner}" of its question.

    Raises:
        BadProblem: the text has not that shape.
    """
    if text.startswith(" How many "):
        end = text.find("?") + 1
        question, statements = text[:end], text[end:]
    else:
        end = text.find(". How many ") + 1
        statements, question = text[:end], text[end:]
    if not (question.startswith(" How many ") and question.endswith(" have?")):
        raise BadProblem(
            "question", 'must be " How many {thing} does {item} have?" before or after the statements', (question or text)[:80], _WAY_OUT
        )
    if not (statements.startswith(" ") and statements.endswith(".")):
        raise BadProblem("statements", "must begin with a space and end with a dot", statements[:80], _WAY_OUT)
    return statements[1:-1].split(". "), question[len(" How many ") : -len(" have?")]


def _read_statement(number: int, text: str) -> Splits:
    splits = tuple(_splits(text[len(STATEMENT) :], " equals ")) if text.startswith(STATEMENT) else ()
    if not splits:
        raise BadProblem(f"statement {number}", 'must be "The number of each {parameter} equals ..."', text[:80], _WAY_OUT)
    return splits


_MAX_SPLITS = 16


def _splits(text: str, phrase: str) -> Iterator[tuple[str, str]]:
    """(before, after) for each occurrence of a phrase; names are short, so the first few suffice."""
    position = text.find(phrase)
    for _ in range(_MAX_SPLITS):
        if position < 0:
            return
        yield text[:position], text[position + len(phrase) :]
        position = text.find(phrase, position + 1)


def read_expression(text: str, known: Callable[[str], bool]) -> RawExpression | None:
    """An expression as written, or None where the text is none.

    A list of names splits on ", each " and " and each ", which no name can hold.

    Args:
        text: what follows " equals ".
        known: whether a text is a parameter's name.
    """
    constant: int | None = None
    form: str | None = None
    found = _CONSTANT.fullmatch(text) if text[:1].isdigit() else None
    if found is not None:
        constant = int(found["constant"])
        if found["form"] is None:
            return RawExpression((), constant, None, False)
        form, text = _FORMS[found["form"]], found["rest"]
    if text.startswith("each "):
        name = text[len("each ") :]
        return RawExpression((name,), constant, form, False) if name and EACH not in name and known(name) else None
    difference = text.startswith(DIFFERENCE)
    if not (difference or text.startswith(SUM)):
        return None
    first, *others = text[len(DIFFERENCE if difference else SUM) :].split(", each ")
    *others, last = (first, *others)
    joined = last.split(EACH)
    if len(joined) != 2 or any(EACH in name for name in others) or (difference and others):
        return None
    names = (*others, *joined)
    return RawExpression(names, constant, form, difference) if all(map(known, names)) else None
