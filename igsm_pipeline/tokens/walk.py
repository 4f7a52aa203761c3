"""A record row as the list of fragment numbers of its document: the wording of problems, questions and solutions as numba kernels.

What a solution computes comes from ``problems.calculation``; here it is only put into words. Shared arguments: ``row`` is one ``RECORD``;
``layout`` and ``item_starts`` number the fragments (``tokens.fragments``); ``instances`` holds (layer, item, child) by instance id; ``out`` takes
fragment numbers and ``n`` is where to go on (kernels that append return the new end).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.problems.anatomy import (
    MAX_INSTANCES,
    MAX_LAYERS,
    MAX_PARENTS,
    NUM_PARAMETERS,
    count_bits,
    has_constant,
    item_place,
    list_edges,
    operand_mask,
    parameter_place,
    query_of,
)
from igsm_pipeline.problems.calculation import BINARY, CONSTANT, COPY, Steps, new_steps, steps_of_record
from igsm_pipeline.problems.kernel import Int, Ints, Row, kernel
from igsm_pipeline.problems.record import FORM_DIFFERENCE, FORM_TIMES
from igsm_pipeline.tokens import fragments as F  # noqa: N812 (a namespace of fragment numbers)

Numbers = NDArray[np.int32]

ROOM = 4096
"""Numbers that one document may have; the longest (39 statements, 52 operations) has fewer than 2,000."""


@kernel
def item_number(row: Row, layer: Int, item: Int, item_starts: Numbers) -> Int:
    """Number of an item in the fragment numbering."""
    hierarchy, place, subcategory, number = item_place(row, layer, item)
    return item_starts[hierarchy, place, subcategory] + number


@kernel
def name_parts(row: Row, kind: Int, layer: Int, item: Int, target: Int, layout: Numbers, item_starts: Numbers) -> tuple[Int, Int, Int]:
    """Fragments of a parameter's name: " {item}'s" and " {thing}", and " {item}" as the question says it."""
    number = item_number(row, layer, item, item_starts)
    if kind == 0:
        thing = layout[4] + item_number(row, layer + 1, target, item_starts)
    else:
        thing = layout[2] + MAX_LAYERS * row["hierarchy"] + row["first_layer"] + target
    return layout[3] + number, thing, layout[4] + number


@kernel
def _owner_and_thing(row: Row, instances: Ints, parameter: Int, layout: Numbers, item_starts: Numbers) -> tuple[Int, Int, Int]:
    """``name_parts`` of a parameter given by its id."""
    kind, layer, item, target = parameter_place(instances, parameter)
    return name_parts(row, kind, layer, item, target, layout, item_starts)


@kernel
def _statement(row: Row, instances: Ints, parameter: Int, layout: Numbers, item_starts: Numbers, out: Numbers, n: Int) -> Int:
    """Append the fragments of one statement, the final "." included."""
    owner, thing, _ = _owner_and_thing(row, instances, parameter, layout, item_starts)
    out[n], out[n + 1], out[n + 2] = F.STATEMENT, owner, thing
    n += 3
    form, operands = row["form"][parameter], row["parents"][parameter]
    num_operands = count_bits(operand_mask(operands))
    opening = F.EQUALS_EACH
    if has_constant(operands):
        out[n], out[n + 1] = F.EQUALS, layout[0] + row["constant"][parameter]
        n += 2
        opening = F.TIMES_EACH if form & FORM_TIMES else F.MORE_EACH
    if num_operands > 1:
        opening += F.OF_DIFFERENCE if form & FORM_DIFFERENCE else F.OF_SUM
    seen = 0
    for k in range(MAX_PARENTS):
        parent = operands[k]
        if parent >= NUM_PARAMETERS:
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
    _, thing, item = _owner_and_thing(row, instances, query_of(row), layout, item_starts)
    out[n], out[n + 1], out[n + 2], out[n + 3], out[n + 4] = F.HOW_MANY, thing, F.DOES, item, F.HAVE
    return n + 5


@kernel
def _step(row: Row, steps: Steps, t: Int, modulus: Int, layout: Numbers, value_of: Ints, out: Numbers, n: Int) -> Int:
    """Append one step: "; t = x o y = 7 o 9 = 16", "; so v = u = 6" or "; so v = 17"; ``value_of`` holds the values of symbols by number."""
    number, symbol, symbols = layout[0], layout[1], row["symbols"]
    out[n] = F.SO if steps.last[t] else F.STEP
    out[n + 1], out[n + 2] = symbol + symbols[steps.target[t]], F.IS
    n += 3
    left, value = steps.left[t], steps.constant[t]
    if steps.kind[t] == BINARY:
        x, y = value if left == CONSTANT else value_of[left], value_of[steps.right[t]]
        sign = F.PLUS + steps.operator[t]
        value = (x + y if sign == F.PLUS else x - y if sign == F.MINUS else x * y) % modulus
        out[n] = number + x if left == CONSTANT else symbol + symbols[left]
        out[n + 1], out[n + 2], out[n + 3], out[n + 4], out[n + 5] = sign, symbol + symbols[steps.right[t]], F.IS, number + x, sign
        out[n + 6], out[n + 7] = number + y, F.IS
        n += 8
    elif steps.kind[t] == COPY:
        value = value_of[left]
        out[n], out[n + 1] = symbol + symbols[left], F.IS
        n += 2
    out[n] = number + value
    value_of[steps.target[t]] = value
    return n + 1


@kernel
def _solution(
    row: Row, steps: Steps, modulus: Int, instances: Ints, layout: Numbers, item_starts: Numbers, value_of: Ints, out: Numbers, n: Int
) -> Int:
    """Append the sentences of the solution, from its steps."""
    t = 0
    for sentence in range(row["num_necessary"]):
        parameter = row["order"][sentence]
        owner, thing, _ = _owner_and_thing(row, instances, parameter, layout, item_starts)
        own = layout[1] + row["symbols"][steps.symbol[parameter]]
        out[n], out[n + 1], out[n + 2], out[n + 3], out[n + 4] = F.DEFINE, owner, thing, F.AS, own
        n += 5
        while t < steps.length[0] and steps.sentence[t] == sentence:
            n = _step(row, steps, t, modulus, layout, value_of, out, n)
            t += 1
        out[n] = F.DOT
        n += 1
    return n


class Walking(NamedTuple):
    """Scratch memory of a walk."""

    instances: Ints  # (39, 3) layer, item, child by instance id
    first_edge: Ints  # (3, 4) id of the first instance parameter of each item
    steps: Steps  # of the solution
    value_of: Ints  # values of symbols by number


def new_walking() -> Walking:
    """Fresh scratch memory."""
    steps = new_steps()
    return Walking(np.zeros((MAX_INSTANCES, 3), np.int64), np.zeros((3, 4), np.int64), steps, np.zeros(len(steps.target), np.int64))


@kernel
def walk_document(row: Row, question_first: bool, modulus: Int, layout: Numbers, item_starts: Numbers, walking: Walking, out: Numbers) -> Int:
    """Fill ``out`` with the fragments of one document; returns how many."""
    instances, steps = walking.instances, walking.steps
    num_instances = list_edges(row["children"], instances)
    steps_of_record(row, walking.first_edge, steps)
    out[0] = F.BEGIN
    n = 1
    if question_first:
        n = _question(row, instances, layout, item_starts, out, n)
    for k in range(num_instances):
        n = _statement(row, instances, row["statement_order"][k], layout, item_starts, out, n)
    if not question_first:
        n = _question(row, instances, layout, item_starts, out, n)
    out[n] = F.SOLUTION
    n = _solution(row, steps, modulus, instances, layout, item_starts, walking.value_of, out, n + 1)
    out[n], out[n + 1], out[n + 2] = F.ANSWER, layout[0] + row["values"][query_of(row)], F.END
    return n + 3
