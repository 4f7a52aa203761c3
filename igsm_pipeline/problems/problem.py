"""One problem as people think of it: items, statements, a query; everything else follows.

A ``Problem`` is the meeting point of two independent routes: ``problems.record`` makes it from the generator's
arrays, ``text.parse_problem`` from text alone. Parameters are plain tuples, so both routes speak of the same things.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from operator import mul
from string import ascii_letters
from typing import Any, NamedTuple

from igsm_pipeline.errors import BadProblem

INSTANCE, ABSTRACT = 0, 1
MORE, TIMES = "more", "times"


class Parameter(NamedTuple):
    """A parameter of a problem.

    ``(INSTANCE, i, j, k)``: number of item (i+1, k) in each item (i, j). ``(ABSTRACT, i, j, c)``: number of things of
    category layer c in item (i, j). Layers count from 0 at the problem's top layer.
    """

    kind: int
    layer: int
    item: int
    target: int

    @property
    def difficulty(self) -> int:
        """0 for an instance parameter, c - i for an abstract one."""
        return self.target - self.layer if self.kind == ABSTRACT else 0


@dataclass(frozen=True)
class Expression:
    """The right side of a statement.

    Attributes:
        parents: parameters it uses, in operand order, the random constant left out.
        constant: the random constant, or None where the statement has none.
        form: how the constant joins the rest: MORE ("{r} more than"), TIMES ("{r} times as much as"); None where it stands alone or is absent.
        difference: two parents are subtracted rather than added.
    """

    parents: tuple[Parameter, ...]
    constant: int | None = None
    form: str | None = None
    difference: bool = False

    @property
    def op(self) -> int:
        """Operations it costs: max(1, in-degree - 1), the constant counted in the in-degree."""
        return max(1, len(self.parents) + (self.constant is not None) - 1)


class _Numbered(NamedTuple):
    """The parameters of a problem by number: all of them, number by parameter, and the numbers of each one's parents in operand order."""

    parameters: tuple[Parameter, ...]
    number_of: dict[Parameter, int]
    parents: list[tuple[int, ...]]


@dataclass(frozen=True)
class Problem:
    """A problem without its wording's accidents.

    Attributes:
        modulus: M.
        categories: category name of each layer.
        items: item names per layer.
        statements: instance parameter -> expression, in the order of the text.
        query: the parameter asked for.
        order: the necessary parameters in the solution's order, query last; empty where no solution is known.
        symbols: the solution's symbols by first appearance (parameter first, then its temporaries); empty likewise.
    """

    modulus: int
    categories: tuple[str, ...]
    items: tuple[tuple[str, ...], ...]
    statements: Mapping[Parameter, Expression]
    query: Parameter
    order: tuple[Parameter, ...] = ()
    symbols: tuple[str, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """What crosses processes: what it is made of. All that follows from that is computed again where it is asked for."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _children(self) -> dict[tuple[int, int], tuple[int, ...]]:
        found: dict[tuple[int, int], list[int]] = {}
        for _, layer, item, child in sorted(self.statements):
            found.setdefault((layer, item), []).append(child)
        return {key: tuple(children) for key, children in found.items()}

    def children(self, layer: int, item: int) -> tuple[int, ...]:
        """Indices, rising, of the items of the next layer that item (layer, item) holds."""
        return self._children.get((layer, item), ())

    def name(self, parameter: Parameter) -> str:
        """ "{item}'s {item or category}"."""
        kind, layer, item, target = parameter
        thing = self.items[layer + 1][target] if kind == INSTANCE else self.categories[target]
        return f"{self.items[layer][item]}'s {thing}"

    @cached_property
    def instances(self) -> tuple[Parameter, ...]:
        """All instance parameters, sorted."""
        return tuple(sorted(self.statements))

    @cached_property
    def abstracts(self) -> tuple[Parameter, ...]:
        """All abstract parameters of the structure, sorted."""
        layers = len(self.items)
        return tuple(
            Parameter(ABSTRACT, layer, item, target)
            for layer in range(layers - 1)
            for item in range(len(self.items[layer]))
            for target in range(layer + 1, layers)
        )

    def terms(self, abstract: Parameter) -> tuple[tuple[Parameter, Parameter | None], ...]:
        """The summands of an abstract parameter by child index: (instance, None), or (instance, abstract) to be multiplied."""
        _, layer, item, target = abstract
        deeper = target > layer + 1
        return tuple(
            (Parameter(INSTANCE, layer, item, child), Parameter(ABSTRACT, layer + 1, child, target) if deeper else None)
            for child in self.children(layer, item)
        )

    def parents(self, parameter: Parameter) -> tuple[Parameter, ...]:
        """What a parameter is computed from, in operand order; the random constant left out.

        Raises:
            KeyError: an instance parameter without a statement.
        """
        if parameter.kind == INSTANCE:
            return self.statements[parameter].parents
        return tuple(one for term in self.terms(parameter) for one in term if one is not None)

    def parameter_op(self, parameter: Parameter) -> int:
        """Operations that defining this parameter takes."""
        if parameter.kind == INSTANCE:
            return self.statements[parameter].op
        return max(1, len(self.parents(parameter)) - 1)

    @cached_property
    def _numbered(self) -> _Numbered:
        """Every instance and abstract parameter by number, for what visits them all."""
        parameters = (*self.instances, *self.abstracts)
        number_of = {one: number for number, one in enumerate(parameters)}
        parents = [tuple([number_of[parent] for parent in self.statements[one].parents]) for one in self.instances]
        children = self._children
        for _, layer, item, target in self.abstracts:
            own = children.get((layer, item), ())
            if target == layer + 1:
                parents.append(tuple([number_of[INSTANCE, layer, item, child] for child in own]))  # type: ignore[index]
            else:
                found: list[int] = []
                for child in own:
                    found += (number_of[INSTANCE, layer, item, child], number_of[ABSTRACT, layer + 1, child, target])  # type: ignore[index]
                parents.append(tuple(found))
        return _Numbered(parameters, number_of, parents)

    @property
    def parents_as_sets(self) -> list[int]:
        """The parents of every parameter, in the order of ``values``, as a set of bits: bit k for the k-th parameter of that order."""
        sets = []
        for parents in self._numbered.parents:
            bits = 0
            for parent in parents:
                bits |= 1 << parent
            sets.append(bits)
        return sets

    @cached_property
    def values(self) -> dict[Parameter, int]:
        """The true value of every instance and abstract parameter, mod M."""
        parameters, _, parents = self._numbered
        values = [0] * len(parameters)
        for number in self._order_numbers(range(len(parameters))):
            parameter, operands = parameters[number], [values[parent] for parent in parents[number]]
            if parameter.kind == INSTANCE:
                values[number] = self._statement_value(self.statements[parameter], operands)
            elif parameter.target == parameter.layer + 1:
                values[number] = sum(operands) % self.modulus
            else:
                values[number] = sum(map(mul, operands[::2], operands[1::2])) % self.modulus
        return {parameters[number]: value for number, value in enumerate(values)}

    def _statement_value(self, statement: Expression, operands: list[int]) -> int:
        rest = operands[0] - operands[1] if statement.difference else sum(operands)
        if statement.constant is not None:
            rest = statement.constant * rest if statement.form == TIMES else statement.constant + rest
        return rest % self.modulus

    def _order_numbers(self, wanted: Iterable[int]) -> list[int]:
        """Every wanted parameter and all it rests on, by number, parents first (iterative: depth is not bounded by Python's stack)."""
        parameters, _, parents = self._numbered
        state, ordered = bytearray(len(parameters)), []
        for start in wanted:
            if state[start]:
                continue
            state[start] = 1
            stack = [(start, iter(parents[start]))]
            while stack:
                number, rest = stack[-1]
                for parent in rest:
                    if state[parent] == 2:
                        continue
                    if state[parent] == 1:
                        raise ValueError(f"{self.name(parameters[parent])} depends on itself")
                    state[parent] = 1
                    stack.append((parent, iter(parents[parent])))
                    break
                else:
                    stack.pop()
                    state[number] = 2
                    ordered.append(number)
        return ordered

    def _in_dependency_order(self, wanted: Iterable[Parameter]) -> list[Parameter]:
        """Every wanted parameter and all it rests on, parents first."""
        parameters, number_of, _ = self._numbered
        return [parameters[number] for number in self._order_numbers([number_of[one] for one in wanted])]

    @cached_property
    def necessary(self) -> frozenset[Parameter]:
        """The query and everything it depends on."""
        return frozenset(self._in_dependency_order((self.query,)))

    @cached_property
    def graph(self) -> frozenset[Parameter]:
        """G_d: all instance parameters and every abstract one that another uses or that is necessary."""
        used = [parent for statement in self.statements.values() for parent in statement.parents]
        return frozenset((*self.statements, *self.necessary, *self._in_dependency_order(used)))

    @cached_property
    def op(self) -> int:
        """Operations of the necessary part: the number of ";" in the solution."""
        return sum(self.parameter_op(parameter) for parameter in self.necessary)

    def solved(self) -> Problem:
        """The same problem with an order of its necessary parameters (parents first, query last) and symbols a, b, c ...: what a solution needs.

        Raises:
            BadProblem: more operations than there are symbols.
        """
        if self.op > len(ascii_letters):
            raise BadProblem("problem", f"must take at most {len(ascii_letters)} operations", self.op, "ask for a parameter that takes fewer")
        return replace(self, order=tuple(self._in_dependency_order((self.query,))), symbols=tuple(ascii_letters[: self.op]))
