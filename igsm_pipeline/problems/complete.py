"""From a proposal to a record: constants, names, values, text order, symbols, and what the split hash is taken of.

Source: generator.md sections 3 to 5. Order of draws: expressions by rising instance id, then names by layer, then the order of statements, then symbols.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from igsm_pipeline.problems import law
from igsm_pipeline.problems.law import BASE0, Work
from igsm_pipeline.problems.random import below, coin, count_bits, mix64
from igsm_pipeline.problems.record import FORM_DIFFERENCE, FORM_MORE, FORM_TIMES, MAX_PARENTS, MAX_SYMBOLS, NOTHING, RNG_ID
from igsm_pipeline.problems.steps import Steps, abstract_place, solution_steps, write_template
from igsm_pipeline.world import World

Ints = NDArray[np.int64]
State = NDArray[np.uint64]
Record = np.void


class WorldShape(NamedTuple):
    """A world's sizes and name codes as arrays (equal names have equal codes)."""

    num_subcategories: Ints  # (hierarchy, layer)
    num_items: Ints  # (hierarchy, layer, subcategory)
    codes: Ints  # (hierarchy, layer, subcategory, item)


def world_shape(world: World) -> WorldShape:
    """The arrays of a world that kernels draw names from."""
    layers = [[layer.subcategories for layer in hierarchy.layers] for hierarchy in world.hierarchies]
    most_subcategories = max(len(subcategories) for hierarchy in layers for subcategories in hierarchy)
    most_items = max(len(sub.items) for hierarchy in layers for subcategories in hierarchy for sub in subcategories)
    shape = WorldShape(
        np.zeros((len(layers), 4), np.int64),
        np.zeros((len(layers), 4, most_subcategories), np.int64),
        np.zeros((len(layers), 4, most_subcategories, most_items), np.int64),
    )
    codes: dict[str, int] = {}
    for h, hierarchy in enumerate(layers):
        for i, subcategories in enumerate(hierarchy):
            shape.num_subcategories[h, i] = len(subcategories)
            for s, sub in enumerate(subcategories):
                shape.num_items[h, i, s] = len(sub.items)
                for n, name in enumerate(sub.items):
                    shape.codes[h, i, s, n] = codes.setdefault(name, len(codes))
    return shape


@njit(cache=True)
def copy_graph(work: Work, rec: Record) -> None:
    """The graph part of a record."""
    for i in range(4):
        rec.widths[i] = work.widths[i]
    for i in range(3):
        for j in range(4):
            rec.children[i, j] = work.children[i, j]
    edges, length = work.facts[law.EDGES], work.facts[law.LENGTH]
    for a in range(rec.parents.shape[0]):
        for index in range(MAX_PARENTS):
            used = a < edges and index < work.num_parents[a]
            rec.parents[a, index] = work.parents[a, index] if used else NOTHING
    for place in range(rec.order.shape[0]):
        rec.order[place] = work.order[place] if place < length else NOTHING
    rec.num_necessary = length
    rec.op = work.facts[law.OP]
    rec.graph = work.facts[law.GRAPH]


@njit(cache=True)
def draw_expressions(state: State, rec: Record, edges: int, modulus: int) -> None:
    """Constants and forms of all statements."""
    for a in range(rec.form.shape[0]):
        rec.form[a], rec.constant[a] = 0, 0
        if a >= edges:
            continue
        operands, has_rng = 0, False
        for index in range(MAX_PARENTS):
            if rec.parents[a, index] == RNG_ID:
                has_rng = True
            elif rec.parents[a, index] != NOTHING:
                operands += 1
        form = 0
        if has_rng and operands == 0:
            rec.constant[a] = below(state, modulus)
        elif has_rng and coin(state):
            form = FORM_MORE
            rec.constant[a] = below(state, modulus)
        elif has_rng:
            form = FORM_TIMES
            rec.constant[a] = 1 + below(state, modulus - 1)
        if operands == 2 and coin(state):
            form |= FORM_DIFFERENCE
        rec.form[a] = form


@njit(cache=True)
def draw_names(state: State, rec: Record, shape: WorldShape, num_layers: int) -> None:
    """Hierarchy, layers, sub-categories and distinct items."""
    hierarchy = below(state, shape.num_subcategories.shape[0])
    first = below(state, 5 - num_layers)
    rec.hierarchy, rec.first_layer = hierarchy, first
    for i in range(4):
        rec.subcategory[i] = 0
        for j in range(4):
            rec.items[i, j] = 0
    for i in range(num_layers):
        sub = below(state, shape.num_subcategories[hierarchy, first + i])
        rec.subcategory[i] = sub
        j = 0
        while j < rec.widths[i]:  # distinct items: draw again on a repeat
            item = below(state, shape.num_items[hierarchy, first + i, sub])
            repeated = False
            for other in range(j):
                repeated |= rec.items[i, other] == item
            if not repeated:
                rec.items[i, j] = item
                j += 1


@njit(cache=True)
def draw_text_order(state: State, rec: Record, edges: int) -> None:
    """A uniform order of the statements (Fisher and Yates from the end)."""
    for index in range(rec.statement_order.shape[0]):
        rec.statement_order[index] = index if index < edges else NOTHING
    for index in range(edges - 1, 0, -1):
        other = below(state, index + 1)
        rec.statement_order[index], rec.statement_order[other] = rec.statement_order[other], rec.statement_order[index]


@njit(cache=True)
def draw_symbols(state: State, rec: Record) -> None:
    """One symbol per operation, uniform without replacement (a repeat is drawn again)."""
    used = 0
    count = 0
    rec.symbols[:] = NOTHING
    while count < rec.op:
        symbol = below(state, MAX_SYMBOLS)
        if used >> symbol & 1 == 0:
            used |= 1 << symbol
            rec.symbols[count] = symbol
            count += 1


@njit(cache=True)
def fill_values(rec: Record, built: Ints, num_built: int, first_edge: Ints, modulus: int) -> None:
    """Values of all parameters, walking ``built`` (parents first)."""
    rec.values[:] = 0
    for index in range(num_built):
        a = built[index]
        if a >= BASE0:
            rec.values[a] = _abstract_value(rec, a, first_edge) % modulus
        else:
            rec.values[a] = _instance_value(rec, a, modulus)


@njit(cache=True)
def _abstract_value(rec: Record, a: int, first_edge: Ints) -> int:
    layer, item, target = abstract_place(a)
    edge, total = first_edge[layer, item], np.int64(0)
    for k in range(4):
        if rec.children[layer, item] >> k & 1:
            value = np.int64(rec.values[edge])
            if target > layer + 1:
                value *= np.int64(rec.values[law.abstract_id(layer + 1, k, target)])
            total += value
            edge += 1
    return total


@njit(cache=True)
def _instance_value(rec: Record, a: int, modulus: int) -> int:
    total, operands, has_rng = np.int64(0), 0, False
    for index in range(MAX_PARENTS):
        parent = rec.parents[a, index]
        if parent == RNG_ID:
            has_rng = True
        elif parent != NOTHING:
            value = np.int64(rec.values[parent])
            total += -value if operands == 1 and rec.form[a] & FORM_DIFFERENCE else value
            operands += 1
    constant = np.int64(rec.constant[a])
    if has_rng:
        total = total * constant if rec.form[a] & FORM_TIMES else total + constant
    return total % modulus


@njit(cache=True)
def complete(state: State, work: Work, steps: Steps, rec: Record, shape: WorldShape, modulus: int) -> None:
    """Everything of a record that a proposal's graph leaves open; ``steps`` then holds its solution."""
    edges = work.facts[law.EDGES]
    copy_graph(work, rec)
    draw_expressions(state, rec, edges, modulus)
    draw_names(state, rec, shape, work.facts[law.LAYERS])
    draw_text_order(state, rec, edges)
    draw_symbols(state, rec)
    fill_values(rec, work.built, work.facts[law.BUILT], work.first_edge, modulus)
    solution_steps(steps, rec.order, work.facts[law.LENGTH], rec.children, work.first_edge, rec.parents, rec.form, rec.constant)


@njit(cache=True)
def template_bytes(out: NDArray[np.uint8], steps: Steps, rec: Record) -> int:
    """Write the template that the hash is taken of; returns its length."""
    return write_template(out, steps, rec.order, rec.num_necessary)


@njit(cache=True)
def _name_code(rec: Record, shape: WorldShape, layer: int, item: int) -> int:
    h, i, s = rec.hierarchy, rec.first_layer + layer, rec.subcategory[layer]
    return shape.codes[h, i, s, rec.items[layer, item]]


@njit(cache=True)
def _parameter_code(rec: Record, shape: WorldShape, a: int, owners: Ints) -> int:
    """A number that equal parameter names of one hierarchy share."""
    if a >= BASE0:
        layer, item, target = abstract_place(a)
        return 2 * (_name_code(rec, shape, layer, item) * 4096 + rec.first_layer + target) + 1
    return 2 * (_name_code(rec, shape, owners[a, 0], owners[a, 1]) * 4096 + _name_code(rec, shape, owners[a, 0] + 1, owners[a, 2]))


@njit(cache=True)
def problem_codes(out: NDArray[np.uint64], rec: Record, shape: WorldShape, edges: int) -> int:
    """Write 64-bit codes of the sorted statements, then of the question; returns how many.

    Two problems of one world whose statements and question are equal as texts, in any order of statements, have equal codes. Ours.
    """
    owners = np.zeros((edges, 3), np.int64)
    edge = 0
    for i in range(3):
        for j in range(4):
            for k in range(4):
                if rec.children[i, j] >> k & 1:
                    owners[edge, 0], owners[edge, 1], owners[edge, 2] = i, j, k
                    edge += 1
    for a in range(edges):
        code = mix64(np.uint64(_parameter_code(rec, shape, a, owners)))
        has_rng = False
        for index in range(MAX_PARENTS):
            parent = rec.parents[a, index]
            if parent == RNG_ID:
                has_rng = True
            elif parent != NOTHING:
                code = mix64(code ^ np.uint64(_parameter_code(rec, shape, parent, owners) + 1))
        detail = (np.int64(rec.constant[a]) * 2 + has_rng) * 8 + rec.form[a]
        out[a] = mix64(code + np.uint64(detail))
    out[:edges].sort()
    query = rec.order[rec.num_necessary - 1]
    out[edges] = mix64(np.uint64(_parameter_code(rec, shape, query, owners)) ^ np.uint64(rec.hierarchy))
    return edges + 1


@njit(cache=True)
def count_edges(rec: Record) -> int:
    """Number of instance parameters of a record."""
    total = 0
    for i in range(3):
        for j in range(4):
            total += count_bits(np.int64(rec.children[i, j]))
    return total
