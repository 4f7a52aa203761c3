"""Reask: a finished problem asked something else.

Source: arXiv:2407.20311, sec. 3 (reask). Ours: a query whose solution would need more symbols than the family has is drawn again.
"""

from __future__ import annotations

import numpy as np

from igsm_pipeline.problems.complete import draw_symbols
from igsm_pipeline.problems.kernel import Int, Ints, Row, kernel
from igsm_pipeline.problems.kernel import Words as State
from igsm_pipeline.problems.law import BASE0, BASE1, BASE2
from igsm_pipeline.problems.random import count_bits, lowest_bit, pick_bit, start
from igsm_pipeline.problems.record import MAX_PARENTS, NOTHING, NUM_PARAMETERS, RNG_ID, Records
from igsm_pipeline.problems.steps import abstract_place, locate_edges

_REASK = 1 << 33  # "draw numbers" from here on belong to reasking


@kernel
def parent_masks(rec: Row, masks: Ints, ops: Ints) -> None:
    """Direct parents (RNG left out) and operations of every parameter of G_d, by id; arrays of shape (63,)."""
    first_edge = np.zeros((3, 4), np.int64)
    edges = locate_edges(rec["children"], first_edge)
    masks[:] = 0
    ops[:] = 0
    for a in range(edges):
        number = 0
        for index in range(MAX_PARENTS):
            parent = np.int64(rec["parents"][a, index])
            if parent != NOTHING:
                number += 1
                if parent != RNG_ID:
                    masks[a] |= 1 << parent
        ops[a] = max(1, number - 1)
    graph = np.int64(rec["graph"])
    for a in range(BASE0, NUM_PARAMETERS):
        if graph >> a & 1 == 0:
            continue
        layer, item, target = abstract_place(a)
        children = np.int64(rec["children"][layer, item])
        number = count_bits(children)
        masks[a] = ((1 << number) - 1) << first_edge[layer, item]
        if target > layer + 1:
            number *= 2
            while children:
                k = lowest_bit(children)
                children &= children - 1
                base = BASE1 if layer == 0 else BASE2
                masks[a] |= 1 << (base + k * (2 - layer) + target - layer - 2)
        ops[a] = max(1, number - 1)


@kernel
def ancestors(masks: Ints, query: Int) -> Int:
    """The query and all it rests on, as a mask."""
    found, open_ = np.int64(0), np.int64(1) << query
    while open_:
        a = lowest_bit(open_)
        open_ &= open_ - 1
        found |= 1 << a
        open_ |= masks[a] & ~found
    return found


@kernel
def _used_or_necessary(rec: Row, masks: Ints, necessary: Int) -> Int:
    """G_d by its definition, as a mask: the statements' parameters, all they rest on, and the necessary ones."""
    graph = necessary
    for index in range(rec["statement_order"].shape[0]):
        a = np.int64(rec["statement_order"][index])
        if a != NOTHING:
            graph |= ancestors(masks, a)
    return graph


@kernel
def _reask_one(state: State, rec: Row, num_symbols: Int, masks: Ints, ops: Ints) -> None:
    parent_masks(rec, masks, ops)
    others = np.int64(rec["graph"]) & ~(np.int64(1) << np.int64(rec["order"][rec["num_necessary"] - 1]))
    necessary, op = np.int64(0), 0
    while others:
        query = pick_bit(state, others)
        others &= ~(1 << query)
        necessary, op = ancestors(masks, query), 0
        mask = necessary
        while mask:
            op += ops[lowest_bit(mask)]
            mask &= mask - 1
        if op <= num_symbols:
            break
        necessary = np.int64(0)
    if necessary == 0:
        return  # nothing else can be asked: the problem stays
    placed, place = np.int64(0), 0
    rec["order"][:] = NOTHING
    while placed != necessary:
        ready = np.int64(0)
        mask = necessary & ~placed
        while mask:
            a = lowest_bit(mask)
            mask &= mask - 1
            if masks[a] & ~placed == 0:
                ready |= 1 << a
        a = pick_bit(state, ready)
        rec["order"][place] = a
        place += 1
        placed |= 1 << a
    rec["num_necessary"] = place
    rec["op"] = op
    rec["graph"] = _used_or_necessary(rec, masks, necessary)
    draw_symbols(state, rec, num_symbols)


@kernel
def _reask_all(key: State, records: Records, num_symbols: Int) -> None:
    state = np.zeros(4, np.uint64)
    masks, ops = np.zeros(NUM_PARAMETERS, np.int64), np.zeros(NUM_PARAMETERS, np.int64)
    for index in range(len(records)):
        start(state, key, _REASK + index)
        _reask_one(state, records[index], num_symbols, masks, ops)


def reask(records: Records, key: State, num_symbols: int) -> Records:
    """The records with redrawn queries; text and names stay; order, op and symbols are new, and G_d loses what only the old query needed."""
    renewed = records.copy()
    _reask_all(key, renewed, num_symbols)
    return renewed
