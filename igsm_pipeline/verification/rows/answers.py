"""Reads answers as people write them, and answers at the end of a solution."""

from __future__ import annotations

import math
import re
from numbers import Integral, Real

from igsm_pipeline.errors import BadProblem

_WAY_OUT = "write the answer as text or as a whole number"
_ANSWER = re.compile(
    r"""(?:(?:so|thus|hence|therefore)[, ]*)?
    (?:(?:(?:the[ ])?(?:final[ ])?(?:answer|result)|a)(?:[ ]is|[ ]?[:=])[ ]?:?[ ]?|\#{2,}[ ]?|=[ ]?)?
    (?:\\[(\[])?[ ]?[$*"'(\[]*(?:\\boxed\{[ ]?)?(?:\\text\{[ ]?)?
    \+?0*(?P<number>[0-9]{1,18})(?:\.0*)?
    [ ]?\}{0,2}(?:[ ]?[\[(]?\\?p?mod(?:ulo)?[ ]?\{?(?P<modulus>[0-9]{1,18})\}?[)\]]?)?[$*"')\]]*[ ]?(?:\\[)\]])?\.?""",
    re.IGNORECASE | re.VERBOSE,
)


def plain_answer(text: str, modulus: int | None = None) -> str | None:
    """The number that an answer gives, without leading zeros; None if it gives none.

    Args:
        text: with plain characters and single spaces, such as "14", "014", "+14", "14.0", "#### 14", "The answer is 14.", "14 (mod 23)"
        modulus: M, which it may name, and no other; None: it may name none.
    """
    found = _ANSWER.fullmatch(text.strip())
    return None if found is None or (found["modulus"] is not None and int(found["modulus"]) != modulus) else found["number"]


def split_answer(solution: str, modulus: int | None = None) -> tuple[str, str | None]:
    """Split a solution into the text up to its last sentence, and the answer after it.

    Args:
        solution: with plain characters and single spaces.
        modulus: as for ``plain_answer``.

    Returns:
        The solution up to the dot of its last sentence, and the number; or the unchanged solution and None, if no answer follows.
    """
    end = solution.find(".", max(0, solution.rfind("Define ")))
    number = plain_answer(solution[end + 1 :], modulus) if end >= 0 else None
    return (solution, None) if number is None else (solution[: end + 1], number)


def is_missing(value: object) -> bool:
    """Whether a value means that there is none: None, NaN, or what pandas uses for them."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in ("NAType", "NaTType")


def answer_text(given: object) -> str | None:
    """An answer as text; None if there is none.

    Args:
        given: text, a whole number (also as a float), or nothing (None, NaN).

    Raises:
        BadProblem: it is something else.
    """
    if is_missing(given):
        return None
    if isinstance(given, str):
        return given
    if isinstance(given, Integral) and not isinstance(given, bool):
        return str(int(given))
    if isinstance(given, Real) and not isinstance(given, bool):
        number = float(given)
        if number.is_integer():
            return f"{number:.0f}"
    raise BadProblem("answer", "must be text or a whole number", given if isinstance(given, bool | float) else str(given)[:40], _WAY_OUT)
