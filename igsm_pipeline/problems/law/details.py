"""From a proposal to a record: constants, names, values, text order, symbols, and what the split by problem is taken of.

Source: arXiv:2407.20311, app. E, and the released generator. Order of draws: expressions by rising instance id, then names by layer, then the order
of statements, then symbols.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from igsm_pipeline.problems.anatomy import (
    BASE0,
    MAX_EDGES,
    MAX_PARENTS,
    NOTHING,
    NUM_PARAMETERS,
    abstract_id,
    abstract_place,
    count_bits,
    has_constant,
    item_place,
    list_edges,
    operand_mask,
    parameter_place,
    query_of,
)
from igsm_pipeline.problems.calculation import Steps, solution_steps
from igsm_pipeline.problems.kernel import Int, Ints, Row, Words, kernel
from igsm_pipeline.problems.kernel import Words as State
from igsm_pipeline.problems.law.proposal import BUILT, EDGES, GRAPH, LAYERS, LENGTH, OP, Work
from igsm_pipeline.problems.law.random import below, coin, mix64
from igsm_pipeline.problems.record import FORM_DIFFERENCE, FORM_MORE, FORM_TIMES
from igsm_pipeline.world import World

_FEWEST_CODES = 4096
"""The base of name codes in worlds of no more names: with another one their problems would fall on other sides of the split."""


class WorldShape(NamedTuple):
    """A world's sizes and name codes as arrays (equal names have equal codes)."""

    num_subcategories: Ints  # (hierarchy, layer)
    num_items: Ints  # (hierarchy, layer, subcategory)
    codes: Ints  # (hierarchy, layer, subcategory, item)
    base: Int  # above every code of a name


def world_shape(world: World) -> WorldShape:
    """The arrays of a world that kernels draw names from."""
    layers = [[layer.subcategories for layer in hierarchy.layers] for hierarchy in world.hierarchies]
    most_subcategories = max(len(subcategories) for hierarchy in layers for subcategories in hierarchy)
    most_items = max(len(sub.items) for hierarchy in layers for subcategories in hierarchy for sub in subcategories)
    num_names = len({name for hierarchy in layers for subcategories in hierarchy for sub in subcategories for name in sub.items})
    shape = WorldShape(
        np.zeros((len(layers), 4), np.int64),
        np.zeros((len(layers), 4, most_subcategories), np.int64),
        np.zeros((len(layers), 4, most_subcategories, most_items), np.int64),
        max(_FEWEST_CODES, num_names),
    )
    codes: dict[str, Int] = {}
    for h, hierarchy in enumerate(layers):
        for i, subcategories in enumerate(hierarchy):
            shape.num_subcategories[h, i] = len(subcategories)
            for s, sub in enumerate(subcategories):
                shape.num_items[h, i, s] = len(sub.items)
                for n, name in enumerate(sub.items):
                    shape.codes[h, i, s, n] = codes.setdefault(name, len(codes))
    return shape


@kernel
def copy_graph(work: Work, rec: Row) -> None:
    """The graph part of a record."""
    for i in range(4):
        rec["widths"][i] = work.widths[i]
    for i in range(3):
        for j in range(4):
            rec["children"][i, j] = work.children[i, j]
    edges, length = work.facts[EDGES], work.facts[LENGTH]
    for a in range(rec["parents"].shape[0]):
        for index in range(MAX_PARENTS):
            used = a < edges and index < work.num_parents[a]
            rec["parents"][a, index] = work.parents[a, index] if used else NOTHING
    for place in range(rec["order"].shape[0]):
        rec["order"][place] = work.order[place] if place < length else NOTHING
    rec["num_necessary"] = length
    rec["op"] = work.facts[OP]
    rec["graph"] = work.facts[GRAPH]


@kernel
def draw_expressions(state: State, rec: Row, edges: Int, modulus: Int) -> None:
    """Constants and forms of all statements."""
    for a in range(rec["form"].shape[0]):
        rec["form"][a], rec["constant"][a] = 0, 0
        if a >= edges:
            continue
        operands, has_rng, form = count_bits(operand_mask(rec["parents"][a])), has_constant(rec["parents"][a]), 0
        if has_rng and operands == 0:
            rec["constant"][a] = below(state, modulus)
        elif has_rng and coin(state):
            form = FORM_MORE
            rec["constant"][a] = below(state, modulus)
        elif has_rng:
            form = FORM_TIMES
            rec["constant"][a] = 1 + below(state, modulus - 1)
        if operands == 2 and coin(state):
            form |= FORM_DIFFERENCE
        rec["form"][a] = form


@kernel
def draw_names(state: State, rec: Row, shape: WorldShape, num_layers: Int) -> None:
    """Hierarchy, layers, sub-categories and distinct items."""
    hierarchy = below(state, shape.num_subcategories.shape[0])
    first = below(state, 5 - num_layers)
    rec["hierarchy"], rec["first_layer"] = hierarchy, first
    for i in range(4):
        rec["subcategory"][i] = 0
        for j in range(4):
            rec["items"][i, j] = 0
    for i in range(num_layers):
        sub = below(state, shape.num_subcategories[hierarchy, first + i])
        rec["subcategory"][i] = sub
        j = 0
        while j < rec["widths"][i]:  # distinct items: draw again on a repeat
            item = below(state, shape.num_items[hierarchy, first + i, sub])
            repeated = False
            for other in range(j):
                repeated |= rec["items"][i, other] == item
            if not repeated:
                rec["items"][i, j] = item
                j += 1


@kernel
def draw_text_order(state: State, rec: Row, edges: Int) -> None:
    """A uniform order of the statements (Fisher and Yates from the end)."""
    for index in range(rec["statement_order"].shape[0]):
        rec["statement_order"][index] = index if index < edges else NOTHING
    for index in range(edges - 1, 0, -1):
        other = below(state, index + 1)
        rec["statement_order"][index], rec["statement_order"][other] = rec["statement_order"][other], rec["statement_order"][index]


@kernel
def draw_symbols(state: State, rec: Row, num_symbols: Int) -> None:
    """One of the first ``num_symbols`` symbols per operation, uniform without replacement (a repeat is drawn again)."""
    used = 0
    count = 0
    rec["symbols"][:] = NOTHING
    while count < rec["op"]:
        symbol = below(state, num_symbols)
        if used >> symbol & 1 == 0:
            used |= 1 << symbol
            rec["symbols"][count] = symbol
            count += 1


@kernel
def fill_values(rec: Row, built: Ints, num_built: Int, first_edge: Ints, modulus: Int) -> None:
    """Values of all parameters, walking ``built`` (parents first)."""
    rec["values"][:] = 0
    for index in range(num_built):
        a = built[index]
        if a >= BASE0:
            rec["values"][a] = _abstract_value(rec, a, first_edge) % modulus
        else:
            rec["values"][a] = _instance_value(rec, a, modulus)


@kernel
def _abstract_value(rec: Row, a: Int, first_edge: Ints) -> Int:
    layer, item, target = abstract_place(a)
    edge, total = first_edge[layer, item], np.int64(0)
    for k in range(4):
        if rec["children"][layer, item] >> k & 1:
            value = np.int64(rec["values"][edge])
            if target > layer + 1:
                value *= np.int64(rec["values"][abstract_id(layer + 1, k, target)])
            total += value
            edge += 1
    return total


@kernel
def _instance_value(rec: Row, a: Int, modulus: Int) -> Int:
    total, operands = np.int64(0), 0
    for index in range(MAX_PARENTS):
        parent = rec["parents"][a, index]
        if parent < NUM_PARAMETERS:
            value = np.int64(rec["values"][parent])
            total += -value if operands == 1 and rec["form"][a] & FORM_DIFFERENCE else value
            operands += 1
    constant = np.int64(rec["constant"][a])
    if has_constant(rec["parents"][a]):
        total = total * constant if rec["form"][a] & FORM_TIMES else total + constant
    return total % modulus


@kernel
def complete_solution(state: State, work: Work, steps: Steps, rec: Row, modulus: Int) -> None:
    """The graph and the statements' forms and numbers; ``steps`` then holds the solution, which is all that its template needs."""
    copy_graph(work, rec)
    draw_expressions(state, rec, work.facts[EDGES], modulus)
    solution_steps(steps, rec["order"], work.facts[LENGTH], rec["children"], work.first_edge, rec["parents"], rec["form"], rec["constant"])


@kernel
def complete_text(state: State, work: Work, rec: Row, shape: WorldShape, modulus: Int, num_symbols: Int) -> None:
    """What is left of a record: names, the order of statements, symbols, values."""
    draw_names(state, rec, shape, work.facts[LAYERS])
    draw_text_order(state, rec, work.facts[EDGES])
    draw_symbols(state, rec, num_symbols)
    fill_values(rec, work.built, work.facts[BUILT], work.first_edge, modulus)


@kernel
def _name_code(rec: Row, shape: WorldShape, layer: Int, item: Int) -> Int:
    hierarchy, place, subcategory, number = item_place(rec, layer, item)
    return shape.codes[hierarchy, place, subcategory, number]


@kernel
def _parameter_code(rec: Row, shape: WorldShape, a: Int, edges: Ints) -> Int:
    """A number that equal parameter names of one hierarchy share."""
    kind, layer, item, target = parameter_place(edges, a)
    thing = rec["first_layer"] + target if kind else _name_code(rec, shape, layer + 1, target)
    return 2 * (_name_code(rec, shape, layer, item) * shape.base + thing) + kind


@kernel
def problem_codes(out: Words, rec: Row, shape: WorldShape) -> Int:
    """Write 64-bit codes of the sorted statements, then of the question; returns how many.

    Two problems of one world whose statements and question are equal as texts, in any order of statements, have equal codes. Ours.
    """
    owners = np.zeros((MAX_EDGES, 3), np.int64)
    edges = list_edges(rec["children"], owners)
    for a in range(edges):
        code = mix64(np.uint64(_parameter_code(rec, shape, a, owners)))
        for index in range(MAX_PARENTS):
            parent = rec["parents"][a, index]
            if parent < NUM_PARAMETERS:
                code = mix64(code ^ np.uint64(_parameter_code(rec, shape, parent, owners) + 1))
        detail = (np.int64(rec["constant"][a]) * 2 + has_constant(rec["parents"][a])) * 8 + rec["form"][a]
        out[a] = mix64(code + np.uint64(detail))
    out[:edges].sort()
    out[edges] = mix64(np.uint64(_parameter_code(rec, shape, query_of(rec), owners)) ^ np.uint64(rec["hierarchy"]))
    return edges + 1
