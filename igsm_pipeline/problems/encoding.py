"""A problem as a row of arrays: the inverse of ``record.to_problem``, for problems that no kernel drew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from igsm_pipeline.errors import BadProblem
from igsm_pipeline.problems.anatomy import MAX_INSTANCES, MAX_LAYERS, MAX_PARENTS, MAX_WIDTH, NOTHING, RNG_ID, abstract_id
from igsm_pipeline.problems.problem import ABSTRACT, MORE, TIMES, Expression, Parameter, Problem
from igsm_pipeline.problems.record import FORM_DIFFERENCE, FORM_MORE, FORM_TIMES, MAX_SYMBOLS, RECORD, SYMBOLS, Records
from igsm_pipeline.world import World

_FORMS = {None: 0, MORE: FORM_MORE, TIMES: FORM_TIMES}
_SMALLER = "ask about a smaller problem"


def to_record(problem: Problem, world: World) -> Records:
    """The record of one problem, as an array of shape (1,); ``to_problem`` gives the problem back.

    ``block``, ``slot``, ``draw`` and the bins of the split are left 0.

    Args:
        problem: with order and symbols (see ``Problem.solved``).
        world: where its names come from.

    Raises:
        BadProblem: it is larger than a record, its names are not the world's, or a layer's items are of several sub-categories.
    """
    _check_size(problem)
    array = np.zeros(1, RECORD)
    row = array[0]
    for name in ("parents", "order", "statement_order", "symbols"):
        row[name] = NOTHING
    _write_names(row, problem, world)
    for _, layer, item, child in problem.instances:
        row["children"][layer, item] |= 1 << child
    ids = {one: number for number, one in enumerate(problem.instances)}
    ids |= {one: int(abstract_id(*one[1:])) for one in problem.abstracts}
    for parameter, expression in problem.statements.items():
        number = ids[parameter]
        operands = ([] if expression.constant is None else [RNG_ID]) + [ids[parent] for parent in expression.parents]
        row["parents"][number, : len(operands)] = operands
        row["form"][number] = _FORMS[expression.form] | (FORM_DIFFERENCE if expression.difference else 0)
        row["constant"][number] = expression.constant or 0
    row["op"], row["num_necessary"] = problem.op, len(problem.order)
    row["order"][: len(problem.order)] = [ids[one] for one in problem.order]
    row["graph"] = sum(1 << ids[one] for one in problem.graph)
    for parameter, value in problem.values.items():
        row["values"][ids[parameter]] = value
    row["statement_order"][: len(problem.statements)] = [ids[one] for one in problem.statements]
    row["symbols"][: problem.op] = [SYMBOLS.index(symbol) for symbol in problem.symbols]
    return array


def _check_size(problem: Problem) -> None:
    if problem.op > MAX_SYMBOLS:
        raise BadProblem("problem", f"must take at most {MAX_SYMBOLS} operations", problem.op, _SMALLER)
    if len(problem.symbols) != problem.op or frozenset(problem.order) != problem.necessary or len(problem.order) != len(problem.necessary):
        rule = f"must define the {len(problem.necessary)} necessary parameters once each, with {problem.op} symbols"
        raise BadProblem("order", rule, f"{len(problem.order)} and {len(problem.symbols)}", "give it an order and symbols")
    if len(problem.statements) > MAX_INSTANCES:
        raise BadProblem("problem", f"must have at most {MAX_INSTANCES} statements", len(problem.statements), _SMALLER)
    widest = max(problem.items, key=len)
    if len(widest) > MAX_WIDTH or len(problem.items) > MAX_LAYERS:
        raise BadProblem("problem", f"must have at most {MAX_WIDTH} items of a category", ", ".join(widest), _SMALLER)
    for parameter, expression in problem.statements.items():
        if len(expression.parents) + (expression.constant is not None) > MAX_PARENTS:
            rule = f"must use at most {MAX_PARENTS} quantities, a number counted as one"
            raise BadProblem(f"statement of {problem.name(parameter)}", rule, _operands(problem, expression), _SMALLER)


def _operands(problem: Problem, expression: Expression) -> str:
    names = [problem.name(parent) for parent in expression.parents]
    return ", ".join(names if expression.constant is None else [str(expression.constant), *names])


def _write_names(row: np.void, problem: Problem, world: World) -> None:
    """Fill in the hierarchy, its layers, and where each item stands in them."""
    failure: BadProblem | None = None
    for number, hierarchy in enumerate(world.hierarchies):
        for first in range(len(hierarchy.layers) - len(problem.items) + 1):
            layers = hierarchy.layers[first : first + len(problem.items)]
            if tuple(layer.category for layer in layers) != problem.categories:
                continue
            places = [_place(names, [one.items for one in layer.subcategories]) for names, layer in zip(problem.items, layers, strict=True)]
            scattered = next((names for names, place in zip(problem.items, places, strict=True) if place is None), None)
            if scattered is not None:
                rule = "must be of one sub-category of the world"
                way_out = "name items of one sub-category, or give these one in a world of your own"
                failure = failure or BadProblem("items of a category", rule, ", ".join(scattered), way_out)
                continue
            row["hierarchy"], row["first_layer"] = number, first
            for layer, place in enumerate(places):
                assert place is not None
                row["widths"][layer], row["subcategory"][layer] = len(place[1]), place[0]
                row["items"][layer, : len(place[1])] = place[1]
            return
    raise failure or BadProblem("problem", "must use the categories of its world", ", ".join(problem.categories), "use the world of its text")


def _place(names: Sequence[str], subcategories: Sequence[Sequence[str]]) -> tuple[int, list[int]] | None:
    """The sub-category that holds all of some items, and their numbers in it; None if no one does."""
    for number, items in enumerate(subcategories):
        if all(name in items for name in names):
            return number, [list(items).index(name) for name in names]
    return None


def reordered(problem: Problem, orders: Sequence[Sequence[int]]) -> Problem:
    """The same problem with the items of each layer in another order, which is the order of the summands of its sums.

    Args:
        problem: any problem.
        orders: per layer the old indices of its items, in the new order.
    """
    new = [{old: index for index, old in enumerate(order)} for order in orders]

    def moved(one: Parameter) -> Parameter:
        target = one.target if one.kind == ABSTRACT else new[one.layer + 1][one.target]
        return Parameter(one.kind, one.layer, new[one.layer][one.item], target)

    statements = {
        moved(one): Expression(tuple(map(moved, said.parents)), said.constant, said.form, said.difference) for one, said in problem.statements.items()
    }
    items = tuple(tuple(names[old] for old in order) for names, order in zip(problem.items, orders, strict=True))
    return Problem(problem.modulus, problem.categories, items, statements, moved(problem.query), tuple(map(moved, problem.order)), problem.symbols)
