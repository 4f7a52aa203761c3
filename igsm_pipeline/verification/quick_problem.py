"""A problem's text -> the tables that verification needs, in one pass and without a ``Problem`` in between.

Only for texts that are right in every character, in worlds of strict names. Every other text gives None here and is for ``text.parse_problem``, which
alone decides what is an error and which; where this reader gives tables, they say what those of the problem that it would have given say.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import mul
from typing import NamedTuple

from igsm_pipeline.errors import BadProblem
from igsm_pipeline.text import LARGEST_MODULUS
from igsm_pipeline.text.wording import DIFFERENCE, EACH, STATEMENT, SUM, split_wording
from igsm_pipeline.verification.lookup import Known, Tables, numbers_below
from igsm_pipeline.world import World

_DIGITS = frozenset("0123456789")
_MORE, _TIMES = "more than ", "times as much as "


class _Names(NamedTuple):
    """The names of one hierarchy: item -> its layer, category -> its layer, categories by layer."""

    layer_of: dict[str, int]
    category_of: dict[str, int]
    categories: tuple[str, ...]


class _Meaning(NamedTuple):
    """What a parameter's name says; layers are the hierarchy's."""

    layer: int
    target: int
    owner: str
    thing: str
    instance: bool


class _Statement(NamedTuple):
    """The right side of a statement; the parents by name."""

    parents: Sequence[str]
    constant: int | None
    times: bool
    difference: bool


class _Computed(NamedTuple):
    """A parameter with its value; the parents by name and as a set of bits."""

    bit: int
    parents: int
    value: int
    operands: Sequence[str]


def quick_tables(text: str, world: World, modulus: int) -> Tables | None:
    """The tables of a problem's text; None where it is not plainly right.

    Args:
        text: statements and question, in format pq or qp, exactly as rendered.
        world: where the names come from.
        modulus: M.
    """
    if world.lenient or modulus > LARGEST_MODULUS:
        return None
    try:
        statements, question = split_wording(text)
    except BadProblem:
        return None
    thing, does, owner = question.partition(" does ")
    if not does or " does " in owner:
        return None
    names = _only_hierarchy(statements[0], world)
    if names is None:
        return None
    reader, query = _Reader(names, modulus), f"{owner}'s {thing}"
    if (
        reader.meaning_of(query)
        and all(map(reader.read_statement, statements))
        and reader.find_structure()
        and reader.compute((*reader.defined, query))
    ):
        return reader.tables(query)
    return None


def _only_hierarchy(statement: str, world: World) -> _Names | None:
    """The only hierarchy that knows the parameter which a statement defines."""
    name, equals, right = statement[len(STATEMENT) :].partition(" equals ")
    owner, _, thing = name.partition("'s ")
    if not equals or " equals " in right:
        return None
    found = [names for names in _owners(world).get(owner, ()) if names.layer_of.get(thing) == names.layer_of[owner] + 1]
    return found[0] if len(found) == 1 else None


@lru_cache(maxsize=16)
def _owners(world: World) -> dict[str, list[_Names]]:
    """Item -> the hierarchies in which it can hold others."""
    found: dict[str, list[_Names]] = {}
    for hierarchy in world.hierarchies:
        layers = [[item for one in layer.subcategories for item in one.items] for layer in hierarchy.layers]
        layer_of = {item: number for number, layer in enumerate(layers) for item in layer}
        names = _Names(layer_of, {category: number for number, category in enumerate(hierarchy.categories)}, hierarchy.categories)
        for item in (item for layer in layers[:-1] for item in layer):
            found.setdefault(item, []).append(names)
    return found


class _Reader:
    """One text, read by the names of one hierarchy, parameters by their names. A step says False or None where the text is for the careful parser.

    Attributes:
        defined: the instance parameters that statements define, with what they say.
    """

    def __init__(self, names: _Names, modulus: int) -> None:
        self._names, self._modulus = names, modulus
        self._numbers = numbers_below(modulus)[1]
        self._meaning: dict[str, _Meaning] = {}
        self.defined: dict[str, _Statement] = {}
        self._children: dict[str, list[str]] = {}
        self._present: dict[str, int] = {}
        self._last = 0
        self._computed: dict[str, _Computed] = {}

    def meaning_of(self, name: str) -> _Meaning | None:
        """What a name says; no name of a strict world holds "'s ", so there is one way to split it."""
        found = self._meaning.get(name)
        if found is not None:
            return found
        owner, _, thing = name.partition("'s ")
        layer = self._names.layer_of.get(owner)
        if layer is None:
            return None
        if self._names.layer_of.get(thing) == layer + 1:
            found = _Meaning(layer, layer + 1, owner, thing, True)
        else:
            target = self._names.category_of.get(thing, 0)
            if target <= layer:
                return None
            found = _Meaning(layer, target, owner, thing, False)
        self._meaning[name] = found
        return found

    def read_statement(self, statement: str) -> bool:
        """Take in a statement."""
        name, _, right = statement[len(STATEMENT) :].partition(" equals ")
        meaning = self.meaning_of(name)
        if meaning is None or not meaning.instance or name in self.defined or not statement.startswith(STATEMENT):
            return False
        alone = self._numbers.get(right)
        read = _Statement((), alone[0], False, False) if alone is not None else self._read_right(right)
        if read is None:
            return False
        self.defined[name] = read
        return all(map(self.meaning_of, read.parents))

    def _read_right(self, right: str) -> _Statement | None:
        """What follows " equals ", where it is no number alone."""
        constant, times = None, False
        if right[:1] in _DIGITS:
            number, _, right = right.partition(" ")
            times = right.startswith(_TIMES)
            if number not in self._numbers or not (times or right.startswith(_MORE)):
                return None
            constant, right = self._numbers[number][0], right[len(_TIMES if times else _MORE) :]
        difference = right.startswith(DIFFERENCE)
        if right.startswith("each "):
            return _Statement([right[len("each ") :]], constant, times, False)
        if not (difference or right.startswith(SUM)):
            return None
        *parents, last = right[len(DIFFERENCE if difference else SUM) :].split(", each ")
        pair = last.split(EACH)
        if len(pair) != 2 or (difference and parents):
            return None
        parents += pair
        return _Statement(parents, constant, times, difference) if len(set(parents)) == len(parents) else None

    def find_structure(self) -> bool:
        """Which item holds which: one edge per statement."""
        present = self._present
        edges = [self._meaning[name] for name in self.defined]
        for _, target, owner, thing, _ in edges:
            present[thing] = target
            self._children.setdefault(owner, []).append(thing)
        first, last = min([edge.layer for edge in edges]), max([edge.target for edge in edges])
        for name, (layer, target, owner, _, instance) in self._meaning.items():
            if (instance and name not in self.defined) or layer < first or target > last or (layer > first and owner not in present):
                return False
            if layer == first:
                present[owner] = first
        self._last = last
        return True

    def compute(self, names: Sequence[str]) -> bool:
        """Compute parameters and all that they rest on; False where one rests on itself."""
        computed, opened, stack = self._computed, set[str](), list(names)
        while stack:
            name = stack[-1]
            if name in computed:
                stack.pop()
                continue
            statement = self.defined.get(name)
            operands = self._terms(name) if statement is None else statement.parents
            missing = [one for one in operands if one not in computed]
            if not missing:
                computed[name] = self._settle(name, statement, operands)
                stack.pop()
            elif name in opened:
                return False
            else:
                opened.add(name)
                stack += missing
        return True

    def _terms(self, name: str) -> list[str]:
        """What an abstract parameter is computed from: instances, or an instance and its factor in turn."""
        owner, _, thing = name.partition("'s ")
        children = self._children.get(owner, ())
        if self._names.category_of[thing] == self._present[owner] + 1:
            return [f"{owner}'s {child}" for child in children]
        return [term for child in children for term in (f"{owner}'s {child}", f"{child}'s {thing}")]

    def _settle(self, name: str, statement: _Statement | None, operands: Sequence[str]) -> _Computed:
        """A parameter, all of whose operands are computed."""
        parents, values = 0, []
        for one in operands:
            bit, _, value, _ = self._computed[one]
            parents |= bit
            values.append(value)
        if statement is None:
            owner, _, thing = name.partition("'s ")
            deeper = self._names.category_of[thing] > self._present[owner] + 1
            total = sum(map(mul, values[::2], values[1::2])) if deeper else sum(values)
        else:
            total = values[0] - values[1] if statement.difference else sum(values)
            if statement.constant is not None:
                total = statement.constant * total if statement.times else statement.constant + total
        return _Computed(1 << len(self._computed), parents, total % self._modulus, operands)

    def tables(self, query: str) -> Tables:
        """What verification needs. Parameters that nothing uses are computed where they are asked for."""
        op, necessary, stack = 0, {query}, [query]
        while stack:
            name = stack.pop()
            operands, statement = self._computed[name].operands, self.defined.get(name)
            op += max(1, len(operands) + (statement is not None and statement.constant is not None) - 1)
            fresh = [one for one in operands if one not in necessary]
            necessary.update(fresh)
            stack += fresh
        known = _Parameters(self)
        for name, (bit, parents, value, _) in self._computed.items():
            known[name] = Known(bit, parents, value, 0 if name in necessary else 1)
        return Tables(known, self._modulus, query, self._computed[query].value, op)

    def unused(self, name: str) -> Known:
        """An abstract parameter that no statement uses and the query does not rest on.

        Raises:
            KeyError: the problem has no such parameter.
        """
        owner, _, thing = name.partition("'s ")
        if not self._present[owner] < self._names.category_of[thing] <= self._last:
            raise KeyError(name)
        self.compute((name,))
        bit, parents, value, _ = self._computed[name]
        return Known(bit, parents, value, 1)


class _Parameters(dict[str, Known]):
    """Name -> parameter; those that nothing uses are added at the first look."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader

    def __missing__(self, name: str) -> Known:
        found = self[name] = self._reader.unused(name)
        return found
