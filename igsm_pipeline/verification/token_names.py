"""A problem's parameters for the reader of tokens: found by name, with their parents.

Operands are numbered: symbols are 0..51, the number n is ``NUMBER_CODE + n``. A set of parameters is a mask over record ids (``problems.anatomy``).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.problems.anatomy import (
    MAX_INSTANCES,
    MAX_LAYERS,
    MAX_WIDTH,
    abstract_id,
    edge_id,
    locate_edges,
    operand_mask,
    order_mask,
    query_of,
)
from igsm_pipeline.problems.kernel import Bool, Int, Row, kernel
from igsm_pipeline.tokens.table import Ids
from igsm_pipeline.tokens.walk import Numbers, name_parts

NUMBER_CODE, MOST_NUMBERS = 64, 1000
OTHER, IS, PLUS, MINUS, TIMES, DOT, STEP, SO_WORD, STEP_SO, AS, DEFINE, ANSWER = range(-1, -13, -1)
"""Classes of tokens that are no operands. "; so" is STEP and SO_WORD, or STEP_SO in one; of " Define" in two pieces DEFINE is the first."""
NO_ERROR, UNREAD, NO_SUCH = -1, -2, -3
"""Results of kernels: all right so far; left to the text path; the problem has no such parameter."""
THINGS = MAX_WIDTH + MAX_LAYERS

WORK = np.dtype(
    [
        ("at", np.int64),  # next token
        ("end", np.int64),  # behind the last one
        ("taken", np.int64),  # mask of symbols that are defined or being defined
        ("valued", np.int64),  # mask of symbols that have a value
        ("defined", np.int64),  # mask of parameters
        ("necessary", np.int64),  # likewise
        ("unnecessary", np.int64),  # how many of the defined ones are
        ("last", np.int64),  # parameter defined last
        ("sentence", np.int64),  # sentences that are right
        ("name", np.int64, (2,)),  # tokens of the last name read
        ("so", np.int64),  # 1 where the step that comes next is the sentence's last
        ("steps", np.int64),  # ";" read
        ("used", np.int64),  # parameters that the sentence has used
        ("result", np.int64),  # of the sentence
        ("modulus", np.int64),
        ("owners", np.int32, (MAX_LAYERS - 1, MAX_WIDTH)),  # fragment " {item}'s" by layer and item
        ("owner_heads", np.uint32, (MAX_LAYERS - 1, MAX_WIDTH)),  # first token of each
        ("things", np.int32, (MAX_LAYERS - 1, THINGS)),  # fragments of what an item of a layer can have: items, then categories by layer; 0 for none
        ("first_edge", np.int64, (MAX_LAYERS - 1, MAX_WIDTH)),  # id of the first instance parameter of each item
        ("values", np.int64, (NUMBER_CODE + MOST_NUMBERS,)),  # of each operand; those of numbers never change
        ("made_of", np.int64, (NUMBER_CODE + MOST_NUMBERS,)),  # parameters that each operand was made of; none for numbers
    ],
    align=True,
)
"""The kernel's memory while it reads one completion; one row of it is passed around as ``Work``."""
Work = Any
Codes = NDArray[np.int16]


class Language(NamedTuple):
    """A token table as arrays.

    Attributes:
        code: operand or class of each id, int16.
        semicolons: ";" in the text of each id, int8; -1 for special tokens.
        pieces, starts: of ``TokenTable``.
        layout, item_starts: of ``Fragments``.
        define_rest: second token of " Define", -1 where it is one token.
        end: id of the end of the text.
    """

    code: Codes
    semicolons: NDArray[np.int8]
    pieces: Ids
    starts: Numbers
    layout: Numbers
    item_starts: Numbers
    define_rest: int
    end: int


@kernel
def begin(row: Row, pieces: Ids, starts: Numbers, layout: Numbers, item_starts: Numbers, work: Work) -> None:
    """Look up the names of a problem and clear the counters."""
    locate_edges(row["children"], work["first_edge"])
    for layer in range(MAX_LAYERS - 1):
        for item in range(row["widths"][layer]):
            owner, _, _ = name_parts(row, 1, layer, item, 0, layout, item_starts)
            work["owners"][layer, item] = owner
            work["owner_heads"][layer, item] = pieces[starts[owner]]
        for item in range(MAX_WIDTH):
            work["things"][layer, item] = 0
            if item < row["widths"][layer + 1]:
                _, thing, _ = name_parts(row, 0, layer, 0, item, layout, item_starts)
                work["things"][layer, item] = thing
        for target in range(layer + 1, MAX_LAYERS):
            work["things"][layer, MAX_WIDTH + target] = 0
            if row["widths"][target] > 0:
                _, category, _ = name_parts(row, 1, layer, 0, target, layout, item_starts)
                work["things"][layer, MAX_WIDTH + target] = category
    work["taken"] = work["valued"] = work["defined"] = work["unnecessary"] = work["sentence"] = work["steps"] = 0
    work["necessary"] = order_mask(row["order"], row["num_necessary"])


@kernel
def _run(fragment: Int, pieces: Ids, starts: Numbers, ids: Ids, at: Int, end: Int) -> Int:
    """The end of a fragment that begins at ``at``; -1 if it is not there."""
    start, stop = starts[fragment], starts[fragment + 1]
    if at + stop - start > end:
        return -1
    for k in range(start, stop):
        if pieces[k] != ids[at]:
            return -1
        at += 1
    return at


@kernel
def read_name(row: Row, code: Codes, pieces: Ids, starts: Numbers, work: Work, ids: Ids) -> Int:
    """Read the parameter whose name, followed by " as", comes next: its id, NO_SUCH or UNREAD. It moves past " as"."""
    at, end, head = work["at"], work["end"], ids[work["at"]]
    for layer in range(MAX_LAYERS - 1):
        for item in range(row["widths"][layer]):
            if work["owner_heads"][layer, item] != head:
                continue
            after = _run(work["owners"][layer, item], pieces, starts, ids, at, end)
            if after < 0 or after >= end:
                continue
            for place in range(THINGS):
                thing = work["things"][layer, place]
                if thing == 0 or pieces[starts[thing]] != ids[after]:
                    continue
                behind = _run(thing, pieces, starts, ids, after, end)
                if behind < 0 or behind >= end or code[ids[behind]] != AS:
                    continue
                work["name"][0], work["name"][1], work["at"] = at, behind, behind + 1
                return _identify(row, work, layer, item, place)
    return UNREAD


@kernel
def _identify(row: Row, work: Work, layer: Int, item: Int, place: Int) -> Int:
    """Id of a parameter, given its owner and the place of its thing; NO_SUCH for pairs without an edge and for items that no text names."""
    children = np.int64(row["children"][layer, item])
    if place < MAX_WIDTH:
        if not children >> place & 1:
            return NO_SUCH
        return edge_id(row["children"], work["first_edge"], layer, item, place)
    if layer == 0 and children == 0 and not _is_named(row, item):
        return NO_SUCH
    return abstract_id(layer, item, place - MAX_WIDTH)


@kernel
def _is_named(row: Row, item: Int) -> Bool:
    """Whether the text names a childless item of the top layer: it is asked about, or a statement uses it."""
    named = np.int64(1) << query_of(row)
    for a in range(MAX_INSTANCES):
        named |= operand_mask(row["parents"][a])
    return named >> abstract_id(0, item, 1) & ((1 << MAX_LAYERS - 1) - 1) != 0
