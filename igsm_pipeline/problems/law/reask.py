"""Reask: a finished problem asked something else.

Source: arXiv:2407.20311, sec. 3 (reask). Ours: a query whose solution would need more symbols than the family has is drawn again.
"""

from __future__ import annotations

import numpy as np

from igsm_pipeline.problems.anatomy import (
    BASE0,
    MAX_LAYERS,
    MAX_WIDTH,
    NOTHING,
    NUM_PARAMETERS,
    count_bits,
    has_constant,
    locate_edges,
    lowest_bit,
    parent_mask,
)
from igsm_pipeline.problems.kernel import Int, Ints, Row, kernel
from igsm_pipeline.problems.kernel import Words as State
from igsm_pipeline.problems.law.details import draw_symbols
from igsm_pipeline.problems.law.random import pick_bit, start
from igsm_pipeline.problems.record import Records

_REASK = 1 << 33  # "draw numbers" from here on belong to reasking


@kernel
def parent_masks(rec: Row, masks: Ints, ops: Ints) -> None:
    """Direct parents (RNG left out) and operations of every parameter of G_d, by id; arrays of shape (63,)."""
    first_edge = np.zeros((MAX_LAYERS - 1, MAX_WIDTH), np.int64)
    locate_edges(rec["children"], first_edge)
    masks[:] = 0
    ops[:] = 0
    graph = np.int64(rec["graph"])
    while graph:
        a = lowest_bit(graph)
        graph &= graph - 1
        masks[a] = parent_mask(rec["children"], rec["parents"], first_edge, a)
        constants = 1 if a < BASE0 and has_constant(rec["parents"][a]) else 0
        ops[a] = max(1, count_bits(masks[a]) + constants - 1)


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
