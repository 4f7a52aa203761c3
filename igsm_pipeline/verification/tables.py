"""What verification needs of a problem, looked up by name: derived once, then kept with the problem."""

from __future__ import annotations

from typing import Any, NamedTuple

from igsm_pipeline.problems.problem import ABSTRACT, INSTANCE, Parameter, Problem


class Known(NamedTuple):
    """A parameter that a solution may define.

    Attributes:
        bit: the parameter as a set of one.
        parents: its parents as a set.
        value: its true value; None for an instance pair without an edge.
        unnecessary: 1 outside the necessary set, else 0.
    """

    bit: int
    parents: int
    value: int | None
    unnecessary: int


class Tables:
    """Look-up tables of one problem.

    Attributes:
        known: name -> parameter, for all that exist in the problem as its text shows it: top-layer items that the text never names are no part.
        unlinked: the same for pairs of items in neighbouring layers without an edge.
        numbers: "n" -> (n, no parameters) for 0 <= n < M: what a constant means as an operand.
        digits: n -> "n".
        modulus: M.
        query: the query's name.
        answer: its value, as text.
        op: operations of the necessary part.
    """

    def __init__(self, problem: Problem) -> None:
        unnamed = _unnamed_items(problem)
        existing = [one for one in (*problem.instances, *problem.abstracts) if one.layer > 0 or one.item not in unnamed]
        bits = {one: 1 << number for number, one in enumerate(existing)}
        self.known: dict[str, Known] = {}
        for one in existing:
            parents = sum(bits[parent] for parent in set(problem.parents(one)))
            self.known.setdefault(problem.name(one), Known(bits[one], parents, problem.values[one], int(one not in problem.necessary)))
        self.unlinked = {name: Known(1 << len(bits) + number, 0, None, 1) for number, name in enumerate(_unlinked_names(problem, unnamed))}
        self.modulus = problem.modulus
        self.digits = tuple(map(str, range(problem.modulus)))
        self.numbers = {text: (number, 0) for number, text in enumerate(self.digits)}
        self.query, self.answer = problem.name(problem.query), self.digits[problem.values[problem.query]]
        self.op = problem.op


def tables_of(problem: Problem) -> Tables:
    """The tables of a problem, made at the first call and kept in the problem like its own derived values.

    Raises:
        ValueError: a parameter of the problem depends on itself.
    """
    kept: dict[str, Any] = problem.__dict__
    tables = kept.get("_verification_tables")
    if not isinstance(tables, Tables):
        tables = kept["_verification_tables"] = Tables(problem)
    return tables


def _unnamed_items(problem: Problem) -> set[int]:
    """Top-layer items that the text never names: childless, in no statement, not asked for."""
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
