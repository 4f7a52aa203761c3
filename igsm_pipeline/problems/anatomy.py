"""The anatomy of a problem as kernels: the ids of its parameters, its edges, what a parameter is computed from, the parts of its name.

A problem has up to four layers of up to four items. An edge joins an item to one of the next layer; ``children[layer, item]`` has bit k set where
item (layer, item) holds item (layer + 1, k). Every parameter has an id, which means the same in every problem, so that a set of parameters is one
non-negative 64-bit mask::

    id   0 ... 38    39 ... 50         51 ... 58         59 ... 62         63     255
         instance    abstract,         abstract,         abstract,         RNG    nothing
         parameters  owner in layer 0  owner in layer 1  owner in layer 2
         one per     4 items x         4 items x         4 items x
         edge        targets 1, 2, 3   targets 2, 3      target 3

Instance ids run along the sorted edges (layer, item, child); an abstract id is ``ABSTRACT_BASE[layer] + item * (3 - layer) + target - layer - 1``.

Kernels are called from other kernels and from Python alike; in their arguments ``children`` is the (3, 4) array of a record, ``first_edge`` what
``locate_edges`` fills, ``edges`` what ``list_edges`` fills, ``operands`` one row of the record's ``parents``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.problems.kernel import Bool, Int, Ints, Row, kernel

Whole = NDArray[np.integer]
MAX_LAYERS, MAX_WIDTH, MAX_INSTANCES, MAX_PARENTS = 4, 4, 39, 4
NUM_PARAMETERS = 63
RNG_ID, NOTHING = 63, 255
BASE0, BASE1, BASE2 = ABSTRACT_BASE = (39, 51, 59)
MAX_EDGES = (MAX_LAYERS - 1) * MAX_WIDTH * MAX_WIDTH
"""Pairs of items of neighbouring layers; a problem uses at most ``MAX_INSTANCES`` of them."""


@kernel
def count_bits(mask: Int) -> Int:
    """Number of ones of a non-negative 63-bit mask, by sums of ever wider fields (compiled to one instruction where there is one)."""
    mask = mask - ((mask >> 1) & 0x5555555555555555)
    mask = (mask & 0x3333333333333333) + ((mask >> 2) & 0x3333333333333333)
    mask = (mask + (mask >> 4)) & 0x0F0F0F0F0F0F0F0F
    return ((mask * 0x0101010101010101) >> 56) & 0xFF


@kernel
def lowest_bit(mask: Int) -> Int:
    """Index of the lowest one of a non-zero, non-negative mask."""
    return count_bits((mask & -mask) - 1)


@kernel
def abstract_id(layer: Int, item: Int, target: Int) -> Int:
    """Id of the abstract parameter "things of category layer ``target`` in item (layer, item)"."""
    base = BASE0 if layer == 0 else BASE1 if layer == 1 else BASE2
    return base + item * (MAX_LAYERS - 1 - layer) + target - layer - 1


@kernel
def abstract_place(parameter: Int) -> tuple[Int, Int, Int]:
    """(layer, item, target) of an abstract id; inverse of ``abstract_id``."""
    layer = 0 if parameter < BASE1 else 1 if parameter < BASE2 else 2
    base = BASE0 if layer == 0 else BASE1 if layer == 1 else BASE2
    item, offset = (parameter - base) // (MAX_LAYERS - 1 - layer), (parameter - base) % (MAX_LAYERS - 1 - layer)
    return layer, item, layer + 1 + offset


@kernel
def locate_edges(children: Whole, first_edge: Ints) -> Int:
    """Fill ``first_edge`` (3, 4) with the id of the first instance parameter of each item; returns the number of edges."""
    edge = 0
    for layer in range(MAX_LAYERS - 1):
        for item in range(MAX_WIDTH):
            first_edge[layer, item] = edge
            edge += count_bits(np.int64(children[layer, item]))
    return edge


@kernel
def list_edges(children: Whole, edges: Ints) -> Int:
    """Fill ``edges`` (at least as many rows as there are edges, 3) with (layer, item, child) by instance id; returns how many there are."""
    number = 0
    for layer in range(MAX_LAYERS - 1):
        for item in range(MAX_WIDTH):
            for child in range(MAX_WIDTH):
                if children[layer, item] >> child & 1:
                    edges[number, 0], edges[number, 1], edges[number, 2] = layer, item, child
                    number += 1
    return number


@kernel
def edge_id(children: Whole, first_edge: Ints, layer: Int, item: Int, child: Int) -> Int:
    """Id of the instance parameter of an edge that exists."""
    return first_edge[layer, item] + count_bits(np.int64(children[layer, item]) & ((1 << child) - 1))


@kernel
def edge_place(children: Whole, parameter: Int) -> tuple[Int, Int, Int]:
    """(layer, item, child) of an instance id; (-1, -1, -1) where the problem has fewer edges."""
    left = np.int64(parameter)
    for layer in range(MAX_LAYERS - 1):
        for item in range(MAX_WIDTH):
            mask = np.int64(children[layer, item])
            number = count_bits(mask)
            if left < number:
                for _ in range(left):
                    mask &= mask - 1
                return layer, item, lowest_bit(mask)
            left -= number
    return -1, -1, -1


@kernel
def parameter_place(edges: Ints, parameter: Int) -> tuple[Int, Int, Int, Int]:
    """(kind, layer, item, target) of an id, as in ``problems.Parameter``."""
    if parameter >= BASE0:
        layer, item, target = abstract_place(parameter)
        return 1, layer, item, target
    return 0, edges[parameter, 0], edges[parameter, 1], edges[parameter, 2]


@kernel
def operand_mask(operands: Whole) -> Int:
    """The parents of an instance parameter as a mask; RNG is left out."""
    mask = np.int64(0)
    for place in range(MAX_PARENTS):
        parent = np.int64(operands[place])
        if parent < NUM_PARAMETERS:
            mask |= np.int64(1) << parent
    return mask


@kernel
def has_constant(operands: Whole) -> Bool:
    """Whether the statement of an instance parameter has a random constant."""
    found = False
    for place in range(MAX_PARENTS):
        found |= operands[place] == RNG_ID
    return found


@kernel
def summand_mask(held: Int, first: Int, layer: Int, target: Int) -> Int:
    """The parents of an abstract parameter as a mask: the edges of its owner and, below the next layer, its children's abstract parameters.

    Args:
        held: mask of the owner's children.
        first: id of the owner's first edge.
        layer: the owner's.
        target: the parameter's.
    """
    mask = ((np.int64(1) << count_bits(held)) - 1) << first
    if target > layer + 1:
        while held:
            mask |= np.int64(1) << abstract_id(layer + 1, lowest_bit(held), target)
            held &= held - 1
    return mask


@kernel
def parent_mask(children: Whole, parents: Whole, first_edge: Ints, parameter: Int) -> Int:
    """The parents of any parameter as a mask, RNG left out; ``parents`` is the (39, 4) array of a record."""
    if parameter < BASE0:
        return operand_mask(parents[parameter])
    layer, item, target = abstract_place(parameter)
    return summand_mask(np.int64(children[layer, item]), first_edge[layer, item], layer, target)


@kernel
def existing_mask(widths: Whole, num_edges: Int) -> Int:
    """All instance and all abstract parameters of a structure as a mask."""
    mask = (np.int64(1) << num_edges) - 1
    for layer in range(MAX_LAYERS - 1):
        for item in range(widths[layer]):
            for target in range(layer + 1, MAX_LAYERS):
                if widths[target] > 0:
                    mask |= np.int64(1) << abstract_id(layer, item, target)
    return mask


@kernel
def order_mask(order: Whole, length: Int) -> Int:
    """The first ``length`` parameters of a solution's order as a mask."""
    mask = np.int64(0)
    for place in range(length):
        mask |= np.int64(1) << np.int64(order[place])
    return mask


@kernel
def query_of(rec: Row) -> Int:
    """Id of the parameter that a record asks for."""
    return np.int64(rec["order"][rec["num_necessary"] - 1])


@kernel
def item_place(rec: Row, layer: Int, item: Int) -> tuple[Int, Int, Int, Int]:
    """Where the world keeps an item's name: (hierarchy, layer of the hierarchy, sub-category, item)."""
    return np.int64(rec["hierarchy"]), np.int64(rec["first_layer"]) + layer, np.int64(rec["subcategory"][layer]), np.int64(rec["items"][layer, item])
