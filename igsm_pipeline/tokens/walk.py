"""A record row as the list of fragment numbers of its document: the wording of problems, questions and solutions as numba kernels.

Shared arguments: ``row`` is one ``RECORD``; ``layout`` and ``item_starts`` number the fragments (``tokens.fragments``); ``instances`` holds (layer,
item, child) by instance id, ``symbol_of`` the symbol of each parameter defined so far; ``out`` takes fragment numbers and ``n`` is where to go on
(kernels that append return the new end); ``state`` is (steps left, own symbol, next free symbol, symbol just set) of the parameter being solved.

Source: sums and products fold left, a constant stands left and comes last (the paper's released generator).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.problems.kernel import Int, Ints, Row, kernel
from igsm_pipeline.problems.record import (
    ABSTRACT_BASE,
    FORM_DIFFERENCE,
    FORM_TIMES,
    MAX_INSTANCES,
    MAX_LAYERS,
    MAX_PARENTS,
    MAX_WIDTH,
    NOTHING,
    RNG_ID,
)
from igsm_pipeline.problems.steps import abstract_place
from igsm_pipeline.tokens import fragments as F  # noqa: N812 (a namespace of fragment numbers)

Numbers = NDArray[np.int32]

ROOM = 4096
"""Numberss that one document may have; the longest (39 statements, 52 operations) has fewer than 2,000."""


@kernel
def list_instances(row: Row, out: Ints) -> Int:
    """Fill (layer, item, child) of each instance id; returns how many there are."""
    n = 0
    for layer in range(MAX_LAYERS - 1):
        for item in range(MAX_WIDTH):
            for child in range(MAX_WIDTH):
                if row["children"][layer, item] >> child & 1:
                    out[n, 0], out[n, 1], out[n, 2] = layer, item, child
                    n += 1
    return n


@kernel
def item_number(row: Row, layer: Int, item: Int, item_starts: Numbers) -> Int:
    """Number of an item in the fragment numbering."""
    return item_starts[row["hierarchy"], row["first_layer"] + layer, row["subcategory"][layer]] + row["items"][layer, item]


@kernel
def _owner_and_thing(row: Row, instances: Ints, parameter: Int, layout: Numbers, item_starts: Numbers) -> tuple[Int, Int, Int]:
    """Numbers of " {item}'s" and " {thing}", and of " {item}" as the question says it."""
    if parameter < MAX_INSTANCES:
        layer, item, child = instances[parameter, 0], instances[parameter, 1], instances[parameter, 2]
        thing = layout[4] + item_number(row, layer + 1, child, item_starts)
    else:
        layer, item, target = abstract_place(parameter)
        thing = layout[2] + 4 * row["hierarchy"] + row["first_layer"] + target
    number = item_number(row, layer, item, item_starts)
    return layout[3] + number, thing, layout[4] + number


@kernel
def _statement(row: Row, instances: Ints, parameter: Int, layout: Numbers, item_starts: Numbers, out: Numbers, n: Int) -> Int:
    """Append the fragments of one statement, the final "." included."""
    owner, thing, _ = _owner_and_thing(row, instances, parameter, layout, item_starts)
    out[n], out[n + 1], out[n + 2] = F.STATEMENT, owner, thing
    n += 3
    form, has_constant, num_operands = row["form"][parameter], False, 0
    for k in range(MAX_PARENTS):
        parent = row["parents"][parameter, k]
        has_constant |= parent == RNG_ID
        num_operands += parent not in (RNG_ID, NOTHING)
    opening = F.EQUALS_EACH
    if has_constant:
        out[n], out[n + 1] = F.EQUALS, layout[0] + row["constant"][parameter]
        n += 2
        opening = F.TIMES_EACH if form & FORM_TIMES else F.MORE_EACH
    if num_operands > 1:
        opening += F.OF_DIFFERENCE if form & FORM_DIFFERENCE else F.OF_SUM
    seen = 0
    for k in range(MAX_PARENTS):
        parent = row["parents"][parameter, k]
        if parent in (RNG_ID, NOTHING):
            continue
        owner, thing, _ = _owner_and_thing(row, instances, parent, layout, item_starts)
        out[n] = opening if seen == 0 else F.AND_EACH if seen == num_operands - 1 else F.COMMA_EACH
        out[n + 1], out[n + 2] = owner, thing
        n += 3
        seen += 1
    out[n] = F.DOT
    return n + 1


@kernel
def _question(row: Row, instances: Ints, layout: Numbers, item_starts: Numbers, out: Numbers, n: Int) -> Int:
    """Append the fragments of the question."""
    _, thing, item = _owner_and_thing(row, instances, row["order"][row["num_necessary"] - 1], layout, item_starts)
    out[n], out[n + 1], out[n + 2], out[n + 3], out[n + 4] = F.HOW_MANY, thing, F.DOES, item, F.HAVE
    return n + 5


@kernel
def _begin_step(row: Row, layout: Numbers, out: Numbers, n: Int, state: Ints) -> Int:
    """Open a step: "; so v =" where it is the parameter's last, else "; t ="."""
    state[0] -= 1
    if state[0] == 0:
        out[n] = F.SO
        state[3] = state[1]
    else:
        out[n] = F.STEP
        state[3] = row["symbols"][state[2]]
        state[2] += 1
    out[n + 1], out[n + 2] = layout[1] + state[3], F.IS
    return n + 3


@kernel
def _binary(
    row: Row, modulus: Int, layout: Numbers, out: Numbers, n: Int, state: Ints, operator: Int, x: Int, x_value: Int, y: Int, y_value: Int
) -> tuple[Int, Int]:
    """Append the step "t = x o y = n o m = k"; ``x`` -1 says that the left operand is a constant. Returns the new end and k."""
    n = _begin_step(row, layout, out, n, state)
    value = x_value + y_value if operator == F.PLUS else x_value - y_value if operator == F.MINUS else x_value * y_value
    value %= modulus
    number = layout[0]
    out[n] = number + x_value if x < 0 else layout[1] + x
    out[n + 1], out[n + 2], out[n + 3], out[n + 4], out[n + 5] = operator, layout[1] + y, F.IS, number + x_value, operator
    out[n + 6], out[n + 7], out[n + 8] = number + y_value, F.IS, number + value
    return n + 9, value


@kernel
def _plain(row: Row, layout: Numbers, out: Numbers, n: Int, state: Ints, symbol: Int, value: Int) -> Int:
    """Append the only step of a parameter without arithmetic: "so v = u = 6" or, with ``symbol`` -1, "so v = 17"."""
    n = _begin_step(row, layout, out, n, state)
    if symbol >= 0:
        out[n], out[n + 1] = layout[1] + symbol, F.IS
        n += 2
    out[n] = layout[0] + value
    return n + 1


@kernel
def _solve_instance(row: Row, modulus: Int, layout: Numbers, parameter: Int, symbol_of: Ints, state: Ints, out: Numbers, n: Int) -> Int:
    """Append the steps of an instance parameter: operands folded from the left, the constant last and on the left."""
    form, has_constant, num_operands, symbol, value = row["form"][parameter], False, 0, -1, np.int64(0)
    for k in range(MAX_PARENTS):
        parent = row["parents"][parameter, k]
        has_constant |= parent == RNG_ID
        num_operands += parent not in (RNG_ID, NOTHING)
    constant = np.int64(row["constant"][parameter])
    state[0] = max(1, num_operands + has_constant - 1)
    if num_operands == 0:
        return _plain(row, layout, out, n, state, -1, constant)
    operator = F.MINUS if form & FORM_DIFFERENCE and num_operands == 2 else F.PLUS
    seen = 0
    for k in range(MAX_PARENTS):
        parent = row["parents"][parameter, k]
        if parent in (RNG_ID, NOTHING):
            continue
        operand = np.int64(row["values"][parent])
        if seen == 0:
            symbol, value = symbol_of[parent], operand
        else:
            n, value = _binary(row, modulus, layout, out, n, state, operator, symbol, value, symbol_of[parent], operand)
            symbol = state[3]
        seen += 1
    if has_constant:
        n, value = _binary(row, modulus, layout, out, n, state, F.TIMES if form & FORM_TIMES else F.PLUS, -1, constant, symbol, value)
    elif num_operands == 1:
        return _plain(row, layout, out, n, state, symbol, value)
    return n


@kernel
def _solve_abstract(
    row: Row, instances: Ints, num_instances: Int, modulus: Int, layout: Numbers, parameter: Int, symbol_of: Ints, state: Ints, out: Numbers, n: Int
) -> Int:
    """Append the steps of an abstract parameter: children by index, first two products, then their sum, then product and sum in turn."""
    layer, item, target = abstract_place(parameter)
    deeper, num_terms, seen, symbol, value = target > layer + 1, 0, 0, -1, np.int64(0)
    for child in range(MAX_WIDTH):
        num_terms += row["children"][layer, item] >> child & 1
    if num_terms == 0:
        state[0] = 1
        return _plain(row, layout, out, n, state, -1, 0)
    state[0] = max(1, (2 if deeper else 1) * num_terms - 1)
    for a in range(num_instances):
        if instances[a, 0] != layer or instances[a, 1] != item:
            continue
        term, term_value = symbol_of[a], np.int64(row["values"][a])
        if deeper:
            b = ABSTRACT_BASE[layer + 1] + instances[a, 2] * (2 - layer) + target - layer - 2
            n, term_value = _binary(row, modulus, layout, out, n, state, F.TIMES, term, term_value, symbol_of[b], np.int64(row["values"][b]))
            term = state[3]
        if seen == 0:
            symbol, value = term, term_value
        else:
            n, value = _binary(row, modulus, layout, out, n, state, F.PLUS, symbol, value, term, term_value)
            symbol = state[3]
        seen += 1
    if num_terms == 1 and not deeper:
        return _plain(row, layout, out, n, state, symbol, value)
    return n


@kernel
def walk_document(
    row: Row, question_first: bool, modulus: Int, layout: Numbers, item_starts: Numbers, instances: Ints, symbol_of: Ints, state: Ints, out: Numbers
) -> Int:
    """Fill ``out`` with the fragments of one document; returns how many."""
    num_instances = list_instances(row, instances)
    out[0] = F.BEGIN
    n = 1
    if question_first:
        n = _question(row, instances, layout, item_starts, out, n)
    for k in range(num_instances):
        n = _statement(row, instances, row["statement_order"][k], layout, item_starts, out, n)
    if not question_first:
        n = _question(row, instances, layout, item_starts, out, n)
    out[n] = F.SOLUTION
    n += 1
    state[2] = 0
    for k in range(row["num_necessary"]):
        parameter = row["order"][k]
        owner, thing, _ = _owner_and_thing(row, instances, parameter, layout, item_starts)
        state[1] = row["symbols"][state[2]]
        state[2] += 1
        symbol_of[parameter] = state[1]
        out[n], out[n + 1], out[n + 2], out[n + 3], out[n + 4] = F.DEFINE, owner, thing, F.AS, layout[1] + state[1]
        if parameter < MAX_INSTANCES:
            n = _solve_instance(row, modulus, layout, parameter, symbol_of, state, out, n + 5)
        else:
            n = _solve_abstract(row, instances, num_instances, modulus, layout, parameter, symbol_of, state, out, n + 5)
        out[n] = F.DOT
        n += 1
    out[n], out[n + 1], out[n + 2] = F.ANSWER, layout[0] + row["values"][row["order"][row["num_necessary"] - 1]], F.END
    return n + 3
