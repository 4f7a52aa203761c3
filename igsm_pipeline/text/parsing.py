"""Text -> Problem: rebuilds structure and dependency graph from the text alone.

Every instance parameter has one statement, so an item's children are those that statements name; abstract parameters follow
from the world's categories. Items of a layer are numbered in world order (file order); top-layer items that the text never
names are no part of the problem that comes back. Rendering that problem gives the text again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

from igsm_pipeline.errors import BadProblem, must_be
from igsm_pipeline.problems.modulus import whole_modulus
from igsm_pipeline.problems.problem import ABSTRACT, INSTANCE, Expression, Parameter, Problem
from igsm_pipeline.text.solution import parse_solution
from igsm_pipeline.text.wording import RawExpression, Splits, read_expression, read_wording
from igsm_pipeline.world import Hierarchy, World, world_of

MAX_READINGS = 1024
_WAY_OUT = "use the world that the text was written with"
_NAME_WAY_OUT = "correct the name; the statements before it use names of the world"
_WORDINGS = '"{n}", "each {A}", "the sum of each {A} and each {B}", "the difference of ...", or "{n} more than" or "{n} times as much as" one of them'
_CORRECT = "correct the text"


class _TooManyReadings(BadProblem):
    """There are more ways to read the names than are tried, so nobody knows whether one that was found is the only one."""


class Reading(NamedTuple):
    """What a parameter's name says: its owner, and the item or category that is counted."""

    kind: int
    layer: int
    owner: str
    target: int
    thing: str


def parse_problem(text: str | bytes, world: World | str | Path, modulus: int = 23) -> Problem:
    """The problem behind a text, without order and symbols.

    Args:
        text: statements and question, in format pq or qp, exactly as rendered (leading space included).
        world: where the names come from, lenient or not, or the name or file of it. A name splits on the last "'s " that gives two known names.
        modulus: M, 2 to ``LARGEST_MODULUS``; the text does not say it.

    Raises:
        BadProblem: not an iGSM problem of this world, one with two readings (a lenient world may repeat names), or a modulus that is none.
        BadInput: ``text`` is no text, or ``world`` no world.
        NotFound, BadWorld: no such world, or a file that breaks a rule.

    Example:
        >>> from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate_block
        >>> from igsm_pipeline.world import load_world
        >>> settings = ProblemSetSettings(family=family_by_name("med"), num_problems=3, block_size=3)
        >>> problem = generate_block(settings, load_world("igsm"), 0)[0]
        >>> from igsm_pipeline.text import render_problem, render_question
        >>> again = parse_problem(render_problem(problem) + render_question(problem), load_world("igsm"))
        >>> again.name(again.query), again.values[again.query]
        ("Textbook Hauler's Stationery", 6)
    """
    modulus, world = whole_modulus(modulus, BadProblem), world_of(world)
    must_be("text", text, (str, bytes), "a text", "give statements and question as they are rendered")
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    statements, question = read_wording(text)
    found: list[Problem] = []
    failure: tuple[int, BadProblem] | None = None
    for names in _candidates(world, statements[0]):
        attempt = _Attempt(names, statements, question, modulus)
        try:
            for problem in attempt.problems():
                if problem not in found:
                    found.append(problem)
        except _TooManyReadings:
            if len(found) < 2:
                raise
        except BadProblem as error:
            if failure is None or attempt.progress > failure[0]:
                failure = (attempt.progress, error)
    if len(found) > 1:
        raise BadProblem("text", "must have one reading", [_describe(problem) for problem in found[:2]], "rename the items that the world repeats")
    if not found and failure is not None:
        raise failure[1]
    return found[0]


def read_solution(problem: Problem, text: str | bytes) -> Problem:
    """A problem with the order and symbols of a solution text: what labels at each step need.

    Whether the solution is right is not judged here. Rendered again it has the same sentences; sums over children run in world order, which need not
    be that of the text.

    Args:
        problem: from text or from a record.
        text: its solution, leading space included.

    Raises:
        BadSolution: the text is no solution.
        BadProblem: it defines what the problem does not have, or something twice.
    """
    known = {problem.name(one): one for one in (*problem.abstracts, *problem.instances)}
    order: dict[Parameter, None] = {}
    symbols: list[str] = []
    for number, sentence in enumerate(parse_solution(text)):
        parameter = known.get(sentence.name)
        if parameter is None or parameter in order:
            raise BadProblem(f"solution, sentence {number}", "must define a parameter of the problem, for the first time", sentence.name, _CORRECT)
        order[parameter] = None
        symbols += [sentence.symbol, *(step.symbol for step in sentence.steps[:-1])]
    return replace(problem, order=tuple(order), symbols=tuple(symbols))


def _describe(problem: Problem) -> str:
    return "; ".join(f"{category}: {', '.join(items)}" for category, items in zip(problem.categories, problem.items, strict=True))


class _Names:
    """The names of one hierarchy, for look-up."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self.categories = tuple(layer.category for layer in hierarchy.layers)
        self.rank: list[dict[str, int]] = []
        for layer in hierarchy.layers:
            ranks: dict[str, int] = {}
            for subcategory in layer.subcategories:
                for item in subcategory.items:
                    ranks.setdefault(item, len(ranks))
            self.rank.append(ranks)
        self.layers_of: dict[str, list[int]] = {}
        for number, known in enumerate(self.rank[:-1]):
            for item in known:
                self.layers_of.setdefault(item, []).append(number)
        self.category_of = {category: number for number, category in enumerate(self.categories)}
        self.longest = max(len(name) for names in (*self.rank, self.categories) for name in names)

    def readings(self, name: str) -> tuple[Reading, ...]:
        """What "{owner}'s {thing}" can mean, split on the last "'s " that gives any meaning."""
        position = name.rfind("'s ")
        while position >= 0 and len(name) - position <= self.longest + len("'s "):
            found = self.meanings(name[:position], name[position + len("'s ") :])
            if found:
                return found
            position = name.rfind("'s ", 0, position + len("'s ") - 1)
        return ()

    def meanings(self, owner: str, thing: str) -> tuple[Reading, ...]:
        """What an owner and a thing can mean: one reading, or more where a lenient world repeats a name in another layer."""
        found = []
        for layer in self.layers_of.get(owner, ()):
            if thing in self.rank[layer + 1]:
                found.append(Reading(INSTANCE, layer, owner, layer + 1, thing))
            if self.category_of.get(thing, 0) > layer:
                found.append(Reading(ABSTRACT, layer, owner, self.category_of[thing], thing))
        return tuple(found)

    def defines(self, name: str) -> bool:
        """Whether a statement can define this parameter."""
        return any(reading.kind == INSTANCE for reading in self.readings(name))


@lru_cache(maxsize=16)
def _names(world: World) -> tuple[_Names, ...]:
    return tuple(_Names(hierarchy) for hierarchy in world.hierarchies)


def _candidates(world: World, first: Splits) -> Sequence[_Names]:
    """The hierarchies that know the parameter of the first statement; all of them where none does."""
    every = _names(world)
    return [names for names in every if any(names.defines(name) for name, _ in first)] or every


class _Attempt:
    """Reading one text by one hierarchy's names.

    ``progress`` counts the statements understood, so that the error of the hierarchy that got furthest is shown.
    """

    def __init__(self, names: _Names, statements: Sequence[Splits], question: Splits, modulus: int) -> None:
        self.names, self.raw, self.question, self.modulus = names, statements, question, modulus
        self.progress = 0
        self.meaning: dict[str, tuple[Reading, ...]] = {}
        self.statements: dict[str, RawExpression] = {}

    def problems(self) -> Iterator[Problem]:
        """Every problem that the text can mean; at least one.

        Raises:
            BadProblem: it can mean none.
        """
        for number, splits in enumerate(self.raw):
            self._read_statement(number, splits)
            self.progress += 1
        used = {name: self.meaning[name] for name in (one for raw in self.statements.values() for one in raw.parents)}
        used |= {name: tuple(reading for reading in self.meaning[name] if reading.kind == INSTANCE) for name in self.statements}
        queries = [reading for thing, owner in self.question for reading in self.names.meanings(owner, thing)]
        if not queries:
            asked = " does ".join(self.question[0]) if self.question else ""
            raise BadProblem("question", "must name an item and an item or category below it", f"How many {asked} have?", _WAY_OUT)
        choices = product(queries, *used.values())
        failure: BadProblem | None = None
        any_found = False
        for query, *readings in islice(choices, MAX_READINGS):
            try:
                yield self._build(query, dict(zip(used, readings, strict=True)))
                any_found = True
            except BadProblem as error:
                failure = failure or error
        if next(choices, None) is not None:
            raise _TooManyReadings("text", f"must have at most {MAX_READINGS} readings to try", "more", "rename the items that the world repeats")
        if failure is not None and not any_found:
            raise failure

    def _known(self, name: str) -> bool:
        if name not in self.meaning:
            readings = self.names.readings(name)
            if not readings:
                return False
            self.meaning[name] = readings
        return True

    def _read_statement(self, number: int, splits: Splits) -> None:
        field = f"statement {number}"
        for name, right in splits:
            readings = self.meaning.get(name) or self.names.readings(name)
            if not readings or (readings[0].kind != INSTANCE and all(reading.kind != INSTANCE for reading in readings)):
                continue
            expression = read_expression(right, self._known)
            if expression is None:
                continue
            if name in self.statements:
                raise BadProblem(field, "must define a parameter that no other statement defines", name, _CORRECT)
            if len(set(expression.parents)) < len(expression.parents):
                raise BadProblem(field, "must use each parameter once", right, _CORRECT)
            if expression.constant is not None and expression.constant >= self.modulus:
                raise BadProblem(field, f"must hold a number below {self.modulus}", expression.constant, "correct the text or the modulus")
            self.meaning[name] = readings
            self.statements[name] = expression
            return
        raise self._refusal(field, splits)

    def _refusal(self, field: str, splits: Splits) -> BadProblem:
        """Why a statement cannot be read: a name that the world lacks, or a wording that is none."""
        for name, right in splits:
            expression = read_expression(right, lambda _: True)
            if expression is None:
                continue
            unknown = next((one for one in (name, *expression.parents) if not self.names.readings(one)), None)
            if unknown is not None:
                return BadProblem(field, "must use names of the world", unknown, _WAY_OUT if self.progress == 0 else _NAME_WAY_OUT)
            return BadProblem(field, "must define an instance parameter, an item and an item of the next layer", name, _CORRECT)
        return BadProblem(field, f"must continue after equals with {_WORDINGS}", splits[0][1], "write it as the generator does")

    def _build(self, query: Reading, meaning: Mapping[str, Reading]) -> Problem:
        defined = {meaning[name] for name in self.statements}
        first = min(reading.layer for reading in defined)
        last = max(reading.target for reading in defined)
        members: list[set[str]] = [set() for _ in self.names.categories]
        for reading in defined:
            members[reading.target].add(reading.thing)
        for reading in (*meaning.values(), query):
            if reading.kind == INSTANCE and reading not in defined:
                name = f"{reading.owner}'s {reading.thing}"
                raise BadProblem("text", "must have a statement for every instance parameter it uses", name, "add the statement")
            if not (first <= reading.layer and reading.target <= last):
                raise BadProblem("text", "must stay within the layers of its statements", f"{reading.owner}'s {reading.thing}", _CORRECT)
            if reading.layer == first:
                members[first].add(reading.owner)
            elif reading.owner not in members[reading.layer]:
                raise BadProblem("text", "must state which item holds each item below the top layer", reading.owner, _CORRECT)
        items = tuple(tuple(sorted(members[layer], key=self.names.rank[layer].__getitem__)) for layer in range(first, last + 1))
        index = [{name: number for number, name in enumerate(layer)} for layer in items]

        def parameter(reading: Reading) -> Parameter:
            layer = reading.layer - first
            target = index[layer + 1][reading.thing] if reading.kind == INSTANCE else reading.target - first
            return Parameter(reading.kind, layer, index[layer][reading.owner], target)

        statements = {
            parameter(meaning[name]): Expression(tuple(parameter(meaning[parent]) for parent in raw.parents), raw.constant, raw.form, raw.difference)
            for name, raw in self.statements.items()
        }
        problem = Problem(self.modulus, self.names.categories[first : last + 1], items, statements, parameter(query))
        try:
            problem.values  # noqa: B018  (computing them finds the cycle)
        except ValueError as error:
            raise BadProblem("text", "must define no parameter by itself", str(error), _CORRECT) from None
        return problem
