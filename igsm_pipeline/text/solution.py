"""A solution as sentences and steps: the grammar, its parser, and the renderer that inverts it.

    solution = (" " sentence ".")+
    sentence = "Define A as v; " ("t = x o y = n o m = k; ")* "so v = " ("n" | "u = n" | "x o y = n o m = k")

A is a parameter's name, u v t symbols (one letter of a-zA-Z), x y symbols or numbers, n m k numbers, o one of + - *.
Nothing here knows the problem: whether the numbers and references are right is ``verification``'s business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from igsm_pipeline.errors import BadInput

SYMBOL = "[a-zA-Z]"
NUMBER = "(?:0|[1-9][0-9]{0,17})"
OPERAND = f"(?:{SYMBOL}|{NUMBER})"
NAME = "[^.;=]+?"
BINARY = f"(?P<x>{OPERAND}) (?P<o>[+*-]) (?P<y>{OPERAND}) = (?P<n>{NUMBER}) (?P=o) (?P<m>{NUMBER}) = (?P<k>{NUMBER})"
RIGHT_SIDE = f"(?:{BINARY}|(?P<u>{SYMBOL}) = (?P<copied>{NUMBER})|(?P<number>{NUMBER}))"

HEAD = re.compile(f" Define (?P<name>{NAME}) as (?P<symbol>{SYMBOL}); ")
"""The start of a sentence."""
STEP = re.compile(f"(?P<symbol>{SYMBOL}) = {BINARY}; ")
"""A step that defines a temporary."""
LAST = re.compile(rf"so (?P<symbol>{SYMBOL}) = {RIGHT_SIDE}\.")
"""The step that closes a sentence."""


class BadSolution(BadInput):
    """A text is not a solution.

    Attributes:
        position: index of the character from which on it could not be read.
        sentence: index of the sentence that holds it.
    """

    def __init__(self, rule: str, text: str, position: int, sentence: int) -> None:
        self.position, self.sentence = position, sentence
        super().__init__(
            f"solution, sentence {sentence}, character {position}", rule, text[position : position + 40], "correct the text from there on"
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One "; "-step.

    Attributes:
        symbol: what it defines.
        operands: none (a number), one (a copy) or two; symbols as str, constants as int.
        operator: "+", "-" or "*" between two operands, else "".
        numbers: the stated values of two operands, else empty.
        result: the stated value.
    """

    symbol: str
    operands: tuple[str | int, ...]
    operator: str
    numbers: tuple[int, ...]
    result: int

    def render(self) -> str:
        """ "t = x + y = 7 + 9 = 16", "v = u = 6" or "v = 17"."""
        parts = [self.symbol]
        for operands in (self.operands, self.numbers):
            if operands:
                parts.append(f" {self.operator} ".join(map(str, operands)))
        return " = ".join([*parts, str(self.result)])


@dataclass(frozen=True, slots=True)
class Sentence:
    """The definition of one parameter.

    Attributes:
        name: the parameter as the text names it.
        symbol: the symbol that stands for it.
        steps: at least one; the last defines ``symbol``.
    """

    name: str
    symbol: str
    steps: tuple[Step, ...]

    def render(self) -> str:
        """ "Define A as v; ...; so v = ..." without the final dot."""
        *temporaries, last = [step.render() for step in self.steps]
        return "; ".join([f"Define {self.name} as {self.symbol}", *temporaries, f"so {last}"])


def render_sentences(sentences: tuple[Sentence, ...]) -> str:
    """The solution text: a leading space, sentences joined by ". ", a final dot; empty for no sentences."""
    return "".join(f" {sentence.render()}." for sentence in sentences)


def parse_solution(text: str | bytes) -> tuple[Sentence, ...]:
    """The sentences of a solution text; ``render_sentences`` gives the text back, character for character.

    Args:
        text: anything; bytes are read as UTF-8.

    Raises:
        BadSolution: the text is not a solution; says from which character on.

    Example:
        >>> [sentence.name for sentence in parse_solution(" Define Bag's Pen as s; so s = 3. Define Bag's Cup as R; so R = s = 3.")]
        ["Bag's Pen", "Bag's Cup"]
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    sentences: list[Sentence] = []
    position = 0
    while position < len(text) or not sentences:
        head = HEAD.match(text, position)
        if head is None:
            raise BadSolution('must continue with " Define {parameter} as {symbol}; "', text, position, len(sentences))
        position = head.end()
        steps: list[Step] = []
        while (found := STEP.match(text, position)) is not None:
            steps.append(read_step(found))
            position = found.end()
        last = LAST.match(text, position)
        if last is None or last["symbol"] != head["symbol"]:
            raise BadSolution(f'must continue with a step or with "so {head["symbol"]} = ..." and a dot', text, position, len(sentences))
        sentences.append(Sentence(head["name"], head["symbol"], (*steps, read_step(last))))
        position = last.end()
    return tuple(sentences)


def read_step(found: re.Match[str]) -> Step:
    """The step behind a match of ``STEP`` or ``LAST``."""
    groups = found.groupdict()
    if groups["x"] is not None:
        operands = (_operand(groups["x"]), _operand(groups["y"]))
        return Step(groups["symbol"], operands, groups["o"], (int(groups["n"]), int(groups["m"])), int(groups["k"]))
    if groups["u"] is not None:
        return Step(groups["symbol"], (groups["u"],), "", (), int(groups["copied"]))
    return Step(groups["symbol"], (), "", (), int(groups["number"]))


def _operand(text: str) -> str | int:
    return text if text.isalpha() else int(text)
