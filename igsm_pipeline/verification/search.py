"""The careful reader: it finds the first error of a solution, sentence by sentence, step by step, in the order of ``Error``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from igsm_pipeline.text.solution import HEAD, LAST, NAME, NUMBER, OPERAND, RIGHT_SIDE, STEP, SYMBOL
from igsm_pipeline.verification.lookup import Known, Tables
from igsm_pipeline.verification.verdict import Error

Value = tuple[int, int]
"""The meaning of an operand: its value, and the set of parameters that it is made of."""


@dataclass
class Progress:
    """How far a solution has been read; everything up to there is right.

    Attributes:
        values: the meaning of operands: every number of 0..M-1, and every symbol that has a value.
        reserved: symbols that are taken but have no value: the sentence's own before its "so", and unused constants.
        position: index of the next character.
        sentence: number of sentences read.
        defined: set of the parameters that are defined.
        unnecessary: how many of them are unnecessary.
        last: name of the last one.
    """

    values: dict[str, Value]
    reserved: set[str] = field(default_factory=set)
    position: int = 0
    sentence: int = 0
    defined: int = 0
    unnecessary: int = 0
    last: str | None = None


@dataclass(frozen=True)
class Leniency:
    """How strictly to read.

    Attributes:
        strict: read by the law; False also accepts what the released checker accepts.
        forgive_values: a wrong value of a parameter is no error (not strict, and the final answer is right).
        cut: the text may stop anywhere; an unfinished part at its end is not judged.
    """

    strict: bool
    forgive_values: bool
    cut: bool


def _prefixes(*atoms: str) -> str:
    """A pattern for every beginning of a sequence; each atom must match its own beginnings, or be one character."""
    pattern = ""
    for atom in reversed(atoms):
        pattern = f"(?:{atom}{pattern})?"
    return pattern


_BEGUN_HEAD = re.compile(_prefixes(*" Define ", f"(?:{NAME} as {SYMBOL};|[^.;=]*)"))
_BINARY_ATOMS = (OPERAND, " ", "(?P<o>[+*-])", " ", OPERAND, " ", "=", " ", NUMBER, " ", "(?P=o)", " ", NUMBER, " ", "=", " ", NUMBER)
_BEGUN_STEP = re.compile(_prefixes(SYMBOL, " ", "=", " ", *_BINARY_ATOMS, ";"))
_BEGUN_LAST = (
    re.compile(_prefixes("s", "o", " ", SYMBOL, " ", "=", " ", *_BINARY_ATOMS)),
    re.compile(_prefixes("s", "o", " ", SYMBOL, " ", "=", " ", OPERAND, " ", "=", " ", NUMBER)),
)
_LENIENT_HEAD = re.compile(f" Define (?:each )?(?P<name>{NAME}) as (?P<symbol>{SYMBOL}); ")
_LENIENT_FIRST_HEAD = re.compile(f" ?{_LENIENT_HEAD.pattern[1:]}")
_LENIENT_LAST = re.compile(rf"[a-zA-Z]{{2}} (?P<symbol>{SYMBOL}) = {RIGHT_SIDE}\.")
_LENIENT_END = re.compile(rf"[a-zA-Z]{{2}} (?P<symbol>{SYMBOL}) = {RIGHT_SIDE}(?:\.|\Z)")
_UNUSED_CONSTANT = re.compile(f"(?P<symbol>{SYMBOL}) = (?P<number>{NUMBER}); ")


@dataclass
class Search:
    """Reads on from ``progress`` to the first error or to the end of the text.

    Attributes:
        tables: look-up tables of the problem.
        text: the solution.
        progress: where to begin; it moves along and counts the right sentences.
        leniency: how strictly to read.
        name: parameter of the sentence that is being read.
    """

    tables: Tables
    text: str
    progress: Progress
    leniency: Leniency
    name: str | None = None
    _used: int = field(default=0, init=False)

    def run(self) -> Error | None:
        """Find the first error; None if all sentences up to the end of the text are right."""
        while self.progress.position < len(self.text) or self.progress.sentence == 0:
            self.name = None
            error = self._read_sentence()
            if error is not None:
                return error
            self.progress.sentence += 1
        return None

    def _read_sentence(self) -> Error | None:
        progress = self.progress
        head_pattern = HEAD if self.leniency.strict else _LENIENT_FIRST_HEAD if progress.position == 0 else _LENIENT_HEAD
        head = head_pattern.match(self.text, progress.position)
        if head is None:
            return self._unreadable(_BEGUN_HEAD)
        self.name, symbol, self._used = head["name"], head["symbol"], 0
        progress.position = head.end()
        if symbol in progress.values or symbol in progress.reserved:
            return Error.REDEFINED_SYMBOL
        progress.reserved.add(symbol)
        error = self._read_steps()
        if error is not None:
            return error
        last = self._last_pattern().match(self.text, progress.position)
        if last is None or (self.leniency.strict and last["symbol"] != symbol):
            return self._unreadable_last(symbol)
        result = self._evaluate(last)
        if isinstance(result, Error):
            return result
        progress.position = last.end()
        return self._judge_sentence(symbol, result, by_number=last["number"] is not None)

    def _read_steps(self) -> Error | None:
        """Read all steps that define temporaries."""
        values, reserved = self.progress.values, self.progress.reserved
        while True:
            found = STEP.match(self.text, self.progress.position)
            unused = None if found or self.leniency.strict else _UNUSED_CONSTANT.match(self.text, self.progress.position)
            step = found or unused
            if step is None:
                return None
            if step["symbol"] in values or step["symbol"] in reserved:
                return Error.REDEFINED_SYMBOL
            if found:
                before = self._used
                self._used = 0
                result = self._evaluate(found)
                if isinstance(result, Error):
                    return result
                values[found["symbol"]] = (result, self._used)
                self._used |= before
            elif step["number"] not in self.tables.numbers:
                return Error.PARSE
            else:
                reserved.add(step["symbol"])
            self.progress.position = step.end()

    def _evaluate(self, step: re.Match[str]) -> int | Error:
        """The value of a step's right side; -1 for a lone number outside 0..M-1. What the step uses is added to ``_used``."""
        groups = step.groupdict()
        if groups["x"] is None and groups["u"] is None:
            return int(self.tables.numbers.get(groups["number"], (-1, 0))[0])
        pairs = [(groups["u"], groups["copied"])] if groups["x"] is None else [(groups["x"], groups["n"]), (groups["y"], groups["m"])]
        if any(operand.isalpha() and operand not in self.progress.values for operand, _ in pairs):
            return Error.UNDEFINED_SYMBOL
        operands = []
        for operand, stated in pairs:
            value, number = self.progress.values.get(operand), self.tables.numbers.get(stated)
            if value is None or number is None or (value[0] != number[0] and (self.leniency.strict or operand.isalpha())):
                return Error.WRONG_REFERENCE
            operands.append(number[0])
            self._used |= value[1]
        if len(operands) == 1:
            return operands[0]
        n, m = operands
        result = {"+": n + m, "-": n - m, "*": n * m}[groups["o"]] % self.tables.modulus
        return result if groups["k"] == self.tables.digits[result] else Error.WRONG_ARITHMETIC

    def _judge_sentence(self, symbol: str, value: int, *, by_number: bool) -> Error | None:
        progress, lenient = self.progress, not self.leniency.strict
        assert self.name is not None
        parameter: Known | None
        try:
            parameter = self.tables.known[self.name]
        except KeyError:
            parameter = None
        if parameter is None and lenient and by_number:
            parameter = self.tables.unlinked.get(self.name)
        if parameter is None:
            return Error.UNKNOWN_PARAMETER
        again = bool(progress.defined & parameter.bit)
        if again and not lenient:
            return Error.REDEFINED_PARAMETER
        if self._used != parameter.parents:
            return Error.WRONG_DEPENDENCY
        wrong = parameter.value is not None and value != parameter.value
        if value < 0 or (wrong and not self.leniency.forgive_values):
            return Error.WRONG_VALUE
        progress.reserved.discard(symbol)
        progress.values[symbol] = (value, parameter.bit)
        progress.defined |= parameter.bit
        progress.unnecessary += 0 if again or wrong else parameter.unnecessary
        progress.last = self.name
        return None

    def _last_pattern(self) -> re.Pattern[str]:
        if self.leniency.strict:
            return LAST
        return _LENIENT_LAST if self.leniency.cut else _LENIENT_END

    def _unreadable(self, *begun: re.Pattern[str]) -> Error:
        """PARSE, or TRUNCATED if the text was cut within something readable."""
        cut = self.leniency.cut and any(pattern.fullmatch(self.text, self.progress.position) for pattern in begun)
        return Error.TRUNCATED if cut else Error.PARSE

    def _unreadable_last(self, symbol: str) -> Error:
        rest = self.text[self.progress.position : self.progress.position + 4]
        if self.leniency.strict and rest[:3] == "so " and rest[3:] not in ("", symbol):
            return Error.PARSE
        return self._unreadable(_BEGUN_STEP, *_BEGUN_LAST)
