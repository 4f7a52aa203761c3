"""Look-up tables of a problem for verification: parameters by name. They are made once and kept with the problem."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from igsm_pipeline.problems.problem import ABSTRACT, INSTANCE, Parameter, Problem


class Known(NamedTuple):
    """A parameter that a solution may define.

    Attributes:
        bit: the parameter as a set of one.
        parents: its parents as a set.
        value: its true value; None for an instance pair without an edge.
        unnecessary: 1 if it is outside the necessary set, else 0.
    """

    bit: int
    parents: int
    value: int | None
    unnecessary: int


class Tables:
    """Look-up tables of one problem.

    Attributes:
        known: name -> parameter, for all parameters of the problem. Top-layer items that its text never names are left out. Use
            ``known[name]``, which may make the entry first.
        numbers: "n" -> (n, no parameters) for 0 <= n < M: the meaning of a constant as an operand.
        digits: n -> "n".
        modulus: M.
        query: name of the query.
        answer: value of the query, as text.
        op: operations of the necessary part.
    """

    def __init__(self, known: Mapping[str, Known], modulus: int, query: str, value: int, op: int) -> None:
        self.known, self.modulus, self.query, self.op = known, modulus, query, op
        self.digits, self.numbers = numbers_below(modulus)
        self.answer = self.digits[value]

    @cached_property
    def num_necessary(self) -> int:
        """How many parameters the answer rests on, the query included."""
        return len({one.bit for one in self.known.values() if not one.unnecessary})

    @property
    def unlinked(self) -> Mapping[str, Known]:
        """Name -> parameter for pairs of items in neighbouring layers without an edge; empty in tables for strict reading, which never asks."""
        return {}


class _ProblemTables(Tables):
    """The tables of a ``Problem``. Top-layer items that its text never names are no part of it."""

    def __init__(self, problem: Problem) -> None:
        self._problem, self._unnamed = problem, _unnamed_items(problem)
        parents_of, necessary, values, name = problem.parents_as_sets, problem.necessary, problem.values, problem.name
        known: dict[str, Known] = {}
        for number, (one, value) in enumerate(values.items()):
            if one.layer > 0 or one.item not in self._unnamed:
                known.setdefault(name(one), Known(1 << number, parents_of[number], value, int(one not in necessary)))
        super().__init__(known, problem.modulus, name(problem.query), values[problem.query], problem.op)

    @cached_property
    def unlinked(self) -> Mapping[str, Known]:
        """Like ``known``, for pairs of items in neighbouring layers without an edge; only lenient reading needs them."""
        first = len(self._problem.values)
        return {name: Known(1 << first + number, 0, None, 1) for number, name in enumerate(_unlinked_names(self._problem, self._unnamed))}


@lru_cache(maxsize=8)
def numbers_below(modulus: int) -> tuple[tuple[str, ...], dict[str, tuple[int, int]]]:
    """The digits of each number below the modulus, and its meaning as an operand. All tables share them and none changes them."""
    digits = tuple(map(str, range(modulus)))
    return digits, {text: (number, 0) for number, text in enumerate(digits)}


def tables_of(problem: Problem) -> Tables:
    """The tables of a problem. The first call makes them and keeps them in the problem.

    Raises:
        ValueError: a parameter of the problem depends on itself.
    """
    kept: dict[str, Any] = problem.__dict__
    tables = kept.get("_verification_tables")
    if not isinstance(tables, Tables):
        tables = kept["_verification_tables"] = _ProblemTables(problem)
    return tables


def _unnamed_items(problem: Problem) -> set[int]:
    """Top-layer items that the text never names: they have no child, are in no statement, and are not asked about."""
    used = (parent for statement in problem.statements.values() for parent in statement.parents)
    named = {one.item for one in (problem.query, *problem.statements, *used) if one.layer == 0}
    return set(range(len(problem.items[0]))) - named


def _unlinked_names(problem: Problem, unnamed: set[int]) -> list[str]:
    pairs = (
        Parameter(INSTANCE, layer, item, child)
        for layer in range(len(problem.items) - 1)
        for item in range(len(problem.items[layer]))
        for child in range(len(problem.items[layer + 1]))
        if layer > 0 or item not in unnamed
    )
    abstract = {problem.name(one) for one in problem.abstracts if one.kind == ABSTRACT}
    return [name for name in (problem.name(pair) for pair in pairs if pair not in problem.statements) if name not in abstract]
