"""A solution as a list of steps over symbols: what the template, the token emitter and the symbol count share.

Step t of a problem is ``target = left o right`` (``BINARY``), ``target = left`` (``COPY``) or ``target = number`` (``NUMBER``).
Symbols are numbered by first appearance: a parameter when it is defined, then its temporaries, so a solution of op operations has exactly op symbols.

Source: the released generator. N-ary sums fold left; in a sum of products first two products, then their sum, then product and sum in turn;
a constant stands left and is applied last.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from igsm_pipeline.problems.anatomy import BASE0, NOTHING, NUM_PARAMETERS, RNG_ID, abstract_id, abstract_place, locate_edges
from igsm_pipeline.problems.kernel import Bytes, Int, Ints, Row, kernel
from igsm_pipeline.problems.record import FORM_DIFFERENCE, FORM_TIMES, MAX_SYMBOLS

NUMBER, COPY, BINARY = 0, 1, 2
PLUS, MINUS, STAR = 0, 1, 2
CONSTANT = -1  # as left operand: the step's constant


class Steps(NamedTuple):
    """The steps of one solution; arrays of int64 with one row per step, ``length[0]`` rows used."""

    kind: Ints
    sentence: Ints  # index into the solution's order
    target: Ints  # symbol number
    left: Ints  # symbol number or CONSTANT
    right: Ints  # symbol number
    operator: Ints
    constant: Ints
    last: Ints  # 1 where the step closes its sentence ("so")
    length: Ints  # (1,) number of steps
    symbol: Ints  # (63,) symbol number of each defined parameter


def new_steps() -> Steps:
    """Fresh arrays for one solution."""
    size = 2 * MAX_SYMBOLS + NUM_PARAMETERS * 2  # room for a solution that will be refused for its length
    return Steps(*(np.zeros(length, np.int64) for length in [size] * 8 + [1, NUM_PARAMETERS]))


@kernel
def _put(steps: Steps, kind: Int, sentence: Int, target: Int, left: Int, operator: Int, right: Int, constant: Int) -> None:
    t = steps.length[0]
    steps.kind[t], steps.sentence[t], steps.target[t] = kind, sentence, target
    steps.left[t], steps.operator[t], steps.right[t] = left, operator, right
    steps.constant[t], steps.last[t] = constant, 0
    steps.length[0] = t + 1


@kernel
def solution_steps(
    steps: Steps,
    order: Bytes,
    length: Int,
    children: Bytes,
    first_edge: Ints,
    parents: Bytes,
    form: Bytes,
    constant: Any,
) -> None:
    """Write the steps of a solution from the columns of its record (``first_edge`` from ``locate_edges``)."""
    steps.length[0] = 0
    symbols = 0
    for sentence in range(length):
        a = np.int64(order[sentence])
        own = symbols
        steps.symbol[a] = own
        symbols += 1
        if a >= BASE0:
            symbols = _abstract_steps(steps, sentence, a, own, symbols, children, first_edge)
        else:
            symbols = _instance_steps(steps, sentence, own, symbols, parents[a], np.int64(form[a]), np.int64(constant[a]))
        steps.target[steps.length[0] - 1] = own
        steps.last[steps.length[0] - 1] = 1


@kernel
def steps_of_record(rec: Row, first_edge: Ints, steps: Steps) -> None:
    """Fill ``first_edge`` (3, 4) and ``steps`` from a finished record."""
    locate_edges(rec["children"], first_edge)
    solution_steps(steps, rec["order"], rec["num_necessary"], rec["children"], first_edge, rec["parents"], rec["form"], rec["constant"])


@kernel
def _instance_steps(steps: Steps, sentence: Int, own: Int, symbols: Int, parents: Bytes, form: Int, constant: Int) -> Int:
    operands, has_rng, running = 0, False, -1
    for index in range(parents.shape[0]):
        parent = np.int64(parents[index])
        if parent == NOTHING:
            break
        if parent == RNG_ID:
            has_rng = True
            continue
        operand = steps.symbol[parent]
        operands += 1
        if operands == 1:
            running = operand
        else:
            operator = MINUS if form & FORM_DIFFERENCE else PLUS
            _put(steps, BINARY, sentence, symbols, running, operator, operand, 0)
            running = symbols
            symbols += 1
    if has_rng and operands == 0:
        _put(steps, NUMBER, sentence, own, 0, 0, 0, constant)
    elif has_rng:
        _put(steps, BINARY, sentence, symbols, CONSTANT, STAR if form & FORM_TIMES else PLUS, running, constant)
        symbols += 1
    elif operands == 1:
        _put(steps, COPY, sentence, own, running, 0, 0, 0)
        return symbols
    # the last binary step writes the parameter itself: its temporary is given back
    return symbols - 1 if operands + has_rng > 1 else symbols


@kernel
def _abstract_steps(steps: Steps, sentence: Int, a: Int, own: Int, symbols: Int, children: Bytes, first_edge: Ints) -> Int:
    layer, item, target = abstract_place(a)
    edge, terms = first_edge[layer, item], 0
    running: Int = np.int64(-1)
    for k in range(children.shape[1]):
        if children[layer, item] >> k & 1 == 0:
            continue
        term: Int = steps.symbol[edge]
        edge += 1
        terms += 1
        if target > layer + 1:
            inner = steps.symbol[abstract_id(layer + 1, k, target)]
            _put(steps, BINARY, sentence, symbols, term, STAR, inner, 0)
            term = np.int64(symbols)
            symbols += 1
        if terms == 1:
            running = term
        else:
            _put(steps, BINARY, sentence, symbols, running, PLUS, term, 0)
            running = np.int64(symbols)
            symbols += 1
    if terms == 0:
        _put(steps, NUMBER, sentence, own, 0, 0, 0, 0)
    elif terms == 1 and target == layer + 1:
        _put(steps, COPY, sentence, own, running, 0, 0, 0)
    else:
        return symbols - 1
    return symbols


@kernel
def write_template(out: Bytes, steps: Steps, order: Bytes, length: Int) -> Int:
    """Write the solution's template as ASCII into ``out``; returns its length in bytes.

    Source: names become Inst or Inter, numbers 0, symbols a..z A..Z by first appearance, "; " becomes ". ".
    """
    at, t = 0, 0
    for sentence in range(length):
        a = order[sentence]
        at = _write(out, at, b" Define Inst as " if a < BASE0 else b" Define Inter as ")
        at = _write_symbol(out, at, steps.symbol[a])
        while t < steps.length[0] and steps.sentence[t] == sentence:
            at = _write(out, at, b". so " if steps.last[t] else b". ")
            at = _write_symbol(out, at, steps.target[t])
            at = _write(out, at, b" = ")
            if steps.kind[t] == BINARY:
                at = _write(out, at, b"0") if steps.left[t] == CONSTANT else _write_symbol(out, at, steps.left[t])
                operator = b" + " if steps.operator[t] == PLUS else b" - " if steps.operator[t] == MINUS else b" * "
                at = _write(out, at, operator)
                at = _write_symbol(out, at, steps.right[t])
                at = _write(out, at, b" = 0")
                at = _write(out, at, operator)
                at = _write(out, at, b"0 = 0")
            elif steps.kind[t] == COPY:
                at = _write_symbol(out, at, steps.left[t])
                at = _write(out, at, b" = 0")
            else:
                at = _write(out, at, b"0")
            t += 1
        at = _write(out, at, b".")
    return at


@kernel
def _write(out: Bytes, at: Int, text: bytes) -> Int:
    for index in range(len(text)):
        out[at + index] = text[index]
    return at + len(text)


@kernel
def _write_symbol(out: Bytes, at: Int, symbol: Int) -> Int:
    out[at] = 97 + symbol if symbol < 26 else 65 + (symbol - 26) % 26
    return at + 1
