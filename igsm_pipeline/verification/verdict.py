"""What verification says about one solution."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Error(StrEnum):
    """The first thing wrong with a solution.

    Within a step they are sought in the order PARSE to WRONG_ARITHMETIC, then for the sentence UNKNOWN_PARAMETER to WRONG_VALUE, at the
    end WRONG_QUERY, WRONG_ANSWER.
    """

    PARSE = "parse"
    """The text leaves the grammar (``text.solution``), also where "so" defines another symbol than its sentence."""
    REDEFINED_SYMBOL = "redefined_symbol"
    """A symbol is defined that is defined already."""
    UNDEFINED_SYMBOL = "undefined_symbol"
    """A symbol is used that has no value yet."""
    WRONG_REFERENCE = "wrong_reference"
    """A stated number is not the value of the symbol or constant it stands for."""
    WRONG_ARITHMETIC = "wrong_arithmetic"
    """A step's result is wrong mod M, or not within 0..M-1."""
    UNKNOWN_PARAMETER = "unknown_parameter"
    """The problem has no such parameter."""
    REDEFINED_PARAMETER = "redefined_parameter"
    """The parameter was defined before."""
    WRONG_DEPENDENCY = "wrong_dependency"
    """The sentence uses other parameters than the problem says."""
    WRONG_VALUE = "wrong_value"
    """Everything fits, and yet the value is not the parameter's (a wrong constant or a wrong combination)."""
    WRONG_QUERY = "wrong_query"
    """The last parameter defined is not the one asked for."""
    WRONG_ANSWER = "wrong_answer"
    """The answer given is not the query's value."""
    TRUNCATED = "truncated"
    """All is right as far as it goes, but the text was cut before its end."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one solution.

    Attributes:
        correct: no error at all.
        error: the first error, None when correct.
        sentence: index of the sentence that holds it, from 0; the number of sentences for what is found at the end; None when correct.
        parameter: name of the parameter that the sentence with the error defines (as the text has it), where it can be read.
        final_answer_correct: the final answer (the answer given, else the last number of the solution) is the query's value.
        unnecessary_parameters: distinct correctly defined parameters outside the necessary set, counted up to the first error.
        unnecessary_operations: steps (";") in the whole text minus the problem's op; negative when the text stops short.
    """

    correct: bool
    error: Error | None
    sentence: int | None
    parameter: str | None
    final_answer_correct: bool
    unnecessary_parameters: int
    unnecessary_operations: int
