"""A second verifier, written from the law's wording: a cursor over characters, values worked out anew, nothing shared with the package's."""

from __future__ import annotations

import string

from igsm_pipeline.problems.problem import INSTANCE, TIMES, Parameter, Problem
from tests.reference.random_problems import is_named


class LeftGrammar(Exception):
    pass


class TextEnded(LeftGrammar):
    pass


class Found(Exception):
    def __init__(self, kind: str) -> None:
        self.kind = kind


def judge(problem: Problem, text: str, answer: str | None = None, finished: bool = True) -> tuple[str | None, int | None, str | None]:
    """(kind of the first error, sentence, parameter), all None for a correct solution."""
    cut = answer is None and not finished
    reader = Reader(problem, text)
    try:
        reader.skip_retries(cut)
        while reader.at < len(text) or reader.sentence == 0:
            reader.read_sentence()
            reader.skip_retries(cut)
    except TextEnded:
        return ("truncated" if cut else "parse"), reader.sentence, reader.name
    except LeftGrammar:
        return "parse", reader.sentence, reader.name
    except Found as found:
        return found.kind, reader.sentence, reader.name
    kind, name = judge_end(problem, reader.name, answer, cut, finished)
    return kind, None if kind is None else reader.sentence, name


def judge_end(problem: Problem, last: str | None, answer: str | None, cut: bool, finished: bool) -> tuple[str | None, str | None]:
    query = problem.name(problem.query)
    if not cut and last != query:
        return "wrong_query", last
    if not finished:
        return "truncated", None
    if answer is not None and answer.strip() != str(value_of(problem, problem.query)):
        return "wrong_answer", query
    return None, None


def count_unnecessary(problem: Problem, text: str) -> int:
    """Distinct parameters outside the necessary set that are defined before the first error."""
    reader = Reader(problem, text)
    try:
        reader.skip_retries(False)
        while reader.at < len(text):
            reader.read_sentence()
            reader.skip_retries(False)
    except (LeftGrammar, Found):
        pass
    needed, waiting = set(), [problem.query]
    while waiting:
        one = waiting.pop()
        needed.add(one)
        waiting += problem.parents(one)
    return len(reader.defined - needed)


def value_of(problem: Problem, parameter: Parameter) -> int:
    known: dict[Parameter, int] = {}

    def value(one: Parameter) -> int:
        if one not in known:
            known[one] = compute(one) % problem.modulus
        return known[one]

    def compute(one: Parameter) -> int:
        if one.kind == INSTANCE:
            said = problem.statements[one]
            if not said.parents:
                return said.constant
            numbers = [value(parent) for parent in said.parents]
            rest = numbers[0] - numbers[1] if said.difference else sum(numbers)
            return rest if said.constant is None else said.constant * rest if said.form == TIMES else said.constant + rest
        total = 0
        for child in [p for p in problem.statements if (p.layer, p.item) == (one.layer, one.item)]:
            below = 1 if one.target == one.layer + 1 else value(Parameter(1, one.layer + 1, child.target, one.target))
            total += value(child) * below
        return total

    return value(parameter)


class Reader:
    def __init__(self, problem: Problem, text: str) -> None:
        self.problem, self.text, self.at, self.sentence, self.retries = problem, text, 0, 0, 0
        self.name: str | None = None
        self.symbols: dict[str, tuple[int, frozenset[Parameter]]] = {}
        self.taken: set[str] = set()
        self.defined: set[Parameter] = set()
        self.parameters = {problem.name(one): one for one in (*problem.abstracts, *problem.instances) if is_named(problem, one.layer, one.item)}

    # characters

    def expect(self, wanted: str) -> None:
        for character in wanted:
            if self.at >= len(self.text):
                raise TextEnded
            if self.text[self.at] != character:
                raise LeftGrammar
            self.at += 1

    def peek(self) -> str:
        if self.at >= len(self.text):
            raise TextEnded
        return self.text[self.at]

    def letter(self) -> str:
        found = self.peek()
        if found not in string.ascii_letters:
            raise LeftGrammar
        self.at += 1
        return found

    def number(self) -> str:
        found = ""
        while self.at < len(self.text) and self.text[self.at] in string.digits and len(found) < 18 and found != "0":
            found += self.text[self.at]
            self.at += 1
        if not found:
            self.peek()
            raise LeftGrammar
        return found

    def operand(self) -> str:
        return self.letter() if self.peek() in string.ascii_letters else self.number()

    # sentences

    def skip_retries(self, cut: bool) -> None:
        """Go over " Define {name} as<|back|>." as often as it stands here; a cut text may lack the last dot."""
        while self.text.startswith(" Define ", self.at):
            end = self.at
            while end < len(self.text) and self.text[end] not in ".;=":
                end += 1
            said = self.text[self.at + 8 : end]
            ending = next((one for one in (" as<|back|>", " as <|back|>", " as[BACK]", " as [BACK]") if said.endswith(one)), None)
            if ending is None or len(said) <= len(ending) or (self.text[end:] and self.text[end] != ".") or not (self.text[end:] or cut):
                return
            self.at = end + 1
            self.retries += 1

    def read_sentence(self) -> None:
        self.name = None
        self.expect(" Define ")
        end = self.at
        while end < len(self.text) and self.text[end] not in ".;=":
            end += 1
        if end == len(self.text):
            raise TextEnded
        if self.text[end] != ";" or self.text[end - 5 : end - 1] != " as " or self.text[end - 1] not in string.ascii_letters or end - 5 <= self.at:
            raise LeftGrammar
        name, own = self.text[self.at : end - 5], self.text[end - 1]
        self.at = end
        self.expect("; ")
        self.name = name
        if own in self.taken:
            raise Found("redefined_symbol")
        self.taken.add(own)
        used: frozenset[Parameter] = frozenset()
        while not self.text.startswith("so", self.at):
            symbol = self.letter()
            self.expect(" = ")
            value, from_ = self.right_side(";", None, symbol)
            self.expect(" ")
            self.symbols[symbol] = (value, from_)
            used |= from_
        self.expect("so ")
        if self.peek() != own:
            raise LeftGrammar
        self.letter()
        self.expect(" = ")
        value, from_ = self.right_side(".", own, None)
        self.judge_sentence(own, value, used | from_)
        self.sentence += 1

    def right_side(self, end: str, own: str | None, new: str | None) -> tuple[int, frozenset[Parameter]]:
        """Read " x o y = n o m = k" (or, for the last step, the shorter forms) with its end, then judge it."""
        x = self.operand()
        if own is not None and x.isdigit() and self.peek() == end:
            self.expect(end)
            return (int(x) if int(x) < self.problem.modulus else -1), frozenset()
        self.expect(" ")
        if own is not None and x.isalpha() and self.peek() == "=":
            self.expect("= ")
            stated = [self.number()]
            self.expect(end)
            pairs, operator = [(x, stated[0])], ""
        else:
            operator = self.peek()
            if operator not in "+-*":
                raise LeftGrammar
            self.expect(operator + " ")
            y = self.operand()
            self.expect(" = ")
            stated = [self.number()]
            self.expect(f" {operator} ")
            stated.append(self.number())
            self.expect(" = ")
            stated.append(self.number())
            self.expect(end)
            if new is not None:
                self.peek_space()
            pairs = [(x, stated[0]), (y, stated[1])]
        if new is not None:
            if new in self.taken:
                raise Found("redefined_symbol")
            self.taken.add(new)
        return self.judge_step(pairs, operator, stated[-1])

    def peek_space(self) -> None:
        if self.peek() != " ":
            raise LeftGrammar

    def judge_step(self, pairs: list[tuple[str, str]], operator: str, result: str) -> tuple[int, frozenset[Parameter]]:
        for operand, _ in pairs:
            if operand.isalpha() and operand not in self.symbols:
                raise Found("undefined_symbol")
        from_: frozenset[Parameter] = frozenset()
        for operand, number in pairs:
            value, made_of = self.symbols[operand] if operand.isalpha() else (int(operand), frozenset())
            if int(number) != value or value >= self.problem.modulus:
                raise Found("wrong_reference")
            from_ |= made_of
        numbers = [int(number) for _, number in pairs]
        if operator:
            total = numbers[0] + numbers[1] if operator == "+" else numbers[0] - numbers[1] if operator == "-" else numbers[0] * numbers[1]
            if int(result) != total % self.problem.modulus:
                raise Found("wrong_arithmetic")
        return int(result), from_

    def judge_sentence(self, own: str, value: int, used: frozenset[Parameter]) -> None:
        parameter = self.parameters.get(self.name)
        if parameter is None:
            raise Found("unknown_parameter")
        if parameter in self.defined:
            raise Found("redefined_parameter")
        if used != set(self.problem.parents(parameter)):
            raise Found("wrong_dependency")
        if value != value_of(self.problem, parameter):
            raise Found("wrong_value")
        self.defined.add(parameter)
        self.symbols[own] = (value, frozenset({parameter}))
