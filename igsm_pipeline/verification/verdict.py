"""The verdict on one solution."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Error(StrEnum):
    """The kinds of first errors.

    Within a step they are looked for in the order PARSE to WRONG_ARITHMETIC; then, for the sentence, UNKNOWN_PARAMETER to WRONG_VALUE; at the
    end WRONG_QUERY and WRONG_ANSWER.
    """

    PARSE = "parse"
    """The text leaves the grammar (``text.solution``), or "so" defines another symbol than its sentence."""
    REDEFINED_SYMBOL = "redefined_symbol"
    """A symbol is defined a second time."""
    UNDEFINED_SYMBOL = "undefined_symbol"
    """A symbol is used before it has a value."""
    WRONG_REFERENCE = "wrong_reference"
    """A stated number is not the value of its symbol or constant."""
    WRONG_ARITHMETIC = "wrong_arithmetic"
    """The result of a step is wrong mod M, or not within 0..M-1."""
    UNKNOWN_PARAMETER = "unknown_parameter"
    """The problem has no such parameter."""
    REDEFINED_PARAMETER = "redefined_parameter"
    """The parameter was defined before."""
    WRONG_DEPENDENCY = "wrong_dependency"
    """The sentence uses other parameters than the problem says."""
    WRONG_VALUE = "wrong_value"
    """The sentence uses the right parameters, but its value is not the parameter's (a wrong constant or a wrong combination)."""
    WRONG_QUERY = "wrong_query"
    """The last parameter that is defined is not the query."""
    WRONG_ANSWER = "wrong_answer"
    """The given answer is not the query's value."""
    TRUNCATED = "truncated"
    """Everything is right so far, but the text was cut before its end."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one solution.

    Attributes:
        correct: there is no error.
        error: the first error; None if correct.
        sentence: index of the sentence with the error, from 0; the number of sentences for an error at the end; None if correct.
        parameter: name of the parameter that this sentence defines (as the text has it), if it can be read.
        final_answer_correct: the final answer (the given answer, else the last number of the solution) is the query's value.
        unnecessary_parameters: distinct correctly defined parameters outside the necessary set, counted up to the first error.
        unnecessary_operations: steps (";") in the whole text minus the problem's op; negative if the text is too short.
        retries: sentences that name a parameter and take it back (``text.retries``). They are counted and not judged, and are no sentences else.
    """

    correct: bool
    error: Error | None
    sentence: int | None
    parameter: str | None
    final_answer_correct: bool
    unnecessary_parameters: int
    unnecessary_operations: int
    retries: int = 0
