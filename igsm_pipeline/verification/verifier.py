"""Verifies a solution from text alone.

Most solutions are right, so a fast reader comes first. It accepts only sentences that are right in every character, and leaves the rest to the
careful reader (``search``), which alone decides what the error is.
"""

from __future__ import annotations

import re
from operator import index
from string import ascii_letters

from igsm_pipeline.errors import BadInput, must_be
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.text.retries import without_retries
from igsm_pipeline.verification.lookup import Tables, tables_of
from igsm_pipeline.verification.search import Leniency, Progress, Search
from igsm_pipeline.verification.verdict import Error, Verdict

_LETTERS, _OPERATORS = frozenset(ascii_letters), frozenset("+-*")
_LAST_NUMBER = re.compile(r"(?<![0-9])([0-9]{1,18})\.?\s*\Z")


def verify(
    problem: Problem, solution: str | bytes, answer: str | bytes | int | None = None, strict: bool = True, *, finished: bool = True
) -> Verdict:
    """Verify a solution of a problem.

    Example:
        >>> from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate_block
        >>> from igsm_pipeline.text import document
        >>> from igsm_pipeline.world import load_world
        >>> problem = generate_block(ProblemSetSettings(family=family_by_name("med"), num_problems=1), load_world("igsm"), 0)[0]
        >>> text = document(problem, "pq")
        >>> verify(problem, text.solution, text.answer).correct
        True
        >>> verify(problem, text.solution, "no number").error
        <Error.WRONG_ANSWER: 'wrong_answer'>

    Args:
        problem: from text or from a record; its order and symbols do not matter.
        solution: the text between the solution and answer markers; anything is allowed (bytes are read as UTF-8).
        answer: the text after the answer marker, if there is one; spaces around it do not matter.
        strict: verify by the law; False also accepts what the released checker accepts.
        finished: False if the text was cut: without an answer the solution may stop anywhere, with one the answer may.

    Returns:
        The verdict, in time linear in the length of the text. No text makes this raise.

    Raises:
        BadInput: ``problem`` is a text or something else; or solution or answer is neither text nor a number.
    """
    must_be("problem", problem, Problem, "a Problem", "read one from its text with parse_problem, or judge files with `igsm verify`")
    return verify_by(tables_of(problem), solution, answer, strict, finished=finished)


def verify_by(
    tables: Tables, solution: str | bytes, answer: str | bytes | int | None = None, strict: bool = True, *, finished: bool = True
) -> Verdict:
    """The verdict on a solution of the problem that tables are of; see ``verify``."""
    given = None if answer is None else _as_text("answer", answer).strip()
    cut = given is None and not finished
    text, taken_back = without_retries(_as_text("solution", solution), cut=cut)
    right = _is_final_answer_right(tables, text, given, cut)
    progress = Progress(dict(tables.numbers))
    read_right_sentences(tables, text, progress)
    name = progress.last
    error = None
    if progress.position < len(text) or progress.sentence == 0:
        search = Search(tables, text, progress, Leniency(strict, forgive_values=right and not strict, cut=cut))
        error = search.run()
        name = search.name
    if error is None:
        if cut or (not finished and progress.last == tables.query):
            error, name = Error.TRUNCATED, None
        elif progress.last != tables.query:
            error = Error.WRONG_QUERY
        elif given is not None and not right:
            error, name = Error.WRONG_ANSWER, tables.query
    if error is None:
        return Verdict(True, None, None, None, right, progress.unnecessary, text.count(";") - tables.op, len(taken_back))
    return Verdict(False, error, progress.sentence, name, right, progress.unnecessary, text.count(";") - tables.op, len(taken_back))


def read_right_sentences(tables: Tables, text: str, progress: Progress) -> None:
    """Move ``progress`` along over sentences that are right in every character, up to the first that is not, or that the fast reader cannot judge."""
    if not (text.startswith(" Define ") and text.endswith(".")):
        return
    values, numbers, digits, modulus = progress.values, tables.numbers, tables.digits, tables.modulus
    free = set(_LETTERS)
    for sentence in text[8:-1].split(". Define "):
        num_values = len(values)
        try:
            head, *steps, last = sentence.split("; ")
            name, symbol = head.rsplit(" as ", 1)
            bit, parents, value, unnecessary = tables.known[name]
            free.remove(symbol)
            used = 0
            for step in steps:
                target, symbolic, numeric, stated = step.split(" = ")
                x, operator, y = symbolic.split(" ")
                (n, from_x), (m, from_y) = values[x], values[y]
                result = (n + m if operator == "+" else n * m if operator == "*" else n - m) % modulus
                free.remove(target)
                if numeric != f"{n} {operator} {m}" or stated != digits[result] or operator not in _OPERATORS:
                    raise ValueError
                values[target] = (result, from_x | from_y)
                used |= from_x | from_y
            target, *parts, stated = last.split(" = ")
            if len(parts) == 2:
                x, operator, y = parts[0].split(" ")
                (n, from_x), (m, from_y) = values[x], values[y]
                used |= from_x | from_y
                result = (n + m if operator == "+" else n * m if operator == "*" else n - m) % modulus
                if parts[1] != f"{n} {operator} {m}" or operator not in _OPERATORS:
                    raise ValueError
            elif parts:
                result, from_x = values[parts[0]]
                used |= from_x
                if len(parts) > 1 or parts[0] in numbers:
                    raise ValueError
            else:
                result = numbers[stated][0]
            if target != "so " + symbol or used != parents or result != value or stated != digits[result] or progress.defined & bit:
                raise ValueError
        except (ValueError, KeyError):
            while len(values) > num_values:
                values.popitem()
            return
        values[symbol] = (result, bit)
        progress.position += len(sentence) + 9  # " Define " and "."
        progress.sentence += 1
        progress.defined |= bit
        progress.unnecessary += unnecessary
        progress.last = name


def _as_text(field: str, given: object) -> str:
    if isinstance(given, str):
        return given
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given).decode("utf-8", "replace")
    if isinstance(given, float) and given.is_integer():  # as tables hold whole numbers beside lacking ones
        return str(int(given))
    try:
        if not isinstance(given, bool):
            return str(index(given))  # type: ignore[arg-type]  # a TypeError says that it is none
    except (TypeError, ValueError):
        pass
    # Python writes no numbers of thousands of digits
    shown = type(given).__name__ if isinstance(given, int) and not isinstance(given, bool) else f"{type(given).__name__} {given!r}"
    raise BadInput(field, "must be text or a whole number", shown, "give what the model wrote, as text")


def _is_final_answer_right(tables: Tables, text: str, given: str | None, cut: bool) -> bool:
    if given is not None:
        return given == tables.answer
    found = None if cut else _LAST_NUMBER.search(text, max(0, len(text) - 32))
    return found is not None and found[1] == tables.answer
