"""The kinds of first errors in plain words: a label for charts and lists, and a sentence for the place where it happened.

Ours: the words. Charts, worked examples and the player all take them from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from igsm_pipeline.verification.verdict import Error


class Told(NamedTuple):
    """One kind of first error: ``label`` has two to four words, ``sentence`` says what is wrong where it happened."""

    label: str
    sentence: str


ERRORS_TOLD: Mapping[Error, Told] = {
    Error.PARSE: Told("not a sentence", "this is not a sentence of a solution"),
    Error.REDEFINED_SYMBOL: Told("symbol defined twice", "the symbol is defined twice: it stands for something else already"),
    Error.UNDEFINED_SYMBOL: Told("symbol without a value", "it uses a symbol without a value"),
    Error.WRONG_REFERENCE: Told("number recalled wrongly", "a number is recalled wrongly: its symbol stands for another"),
    Error.WRONG_ARITHMETIC: Told("arithmetic slip", "the arithmetic is wrong"),
    Error.UNKNOWN_PARAMETER: Told("no such quantity", "the problem has no such quantity"),
    Error.REDEFINED_PARAMETER: Told("quantity defined twice", "the quantity is defined twice: it was computed before"),
    Error.WRONG_DEPENDENCY: Told("wrong quantities used", "it is computed from other quantities than the problem says"),
    Error.WRONG_VALUE: Told("wrong formula", "the formula is wrong: the right quantities, and another value"),
    Error.WRONG_QUERY: Told("stopped at another one", "the solution stops at another quantity than the one asked for"),
    Error.WRONG_ANSWER: Told("another answer than computed", "the final answer is another than the one computed"),
    Error.TRUNCATED: Told("never finished", "the solution is cut off before it is finished"),
}


def error_label(error: str) -> str:
    """The label of a first error by its name in files; a name of no known error as it is."""
    return ERRORS_TOLD[Error(error)].label if error in set(Error) else error
