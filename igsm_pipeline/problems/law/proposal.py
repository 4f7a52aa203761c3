"""The law of proposals as kernels: structure, necessary part, order, extra operations (``unnecessary`` draws the rest of the graph).

Source: arXiv:2407.20311, app. D; where the released generator differs from it, the released behaviour (docs/law.md lists the steps).
A proposal lives in a ``Work`` tuple of small integer arrays; sets of parameters are 63-bit masks over the ids of ``problems.anatomy``.

Order of draws (``tests/reference/naive.py`` makes the same ones): each function draws in the order of its lines; a draw is made also where there is
only one choice, except where its comment says otherwise.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from igsm_pipeline.problems.anatomy import (
    BASE0,
    MAX_INSTANCES,
    MAX_LAYERS,
    MAX_PARENTS,
    MAX_WIDTH,
    NOTHING,
    NUM_PARAMETERS,
    RNG_ID,
    abstract_id,
    count_bits,
    locate_edges,
    lowest_bit,
    summand_mask,
)
from igsm_pipeline.problems.kernel import Int, Ints, kernel
from igsm_pipeline.problems.kernel import Words as State
from igsm_pipeline.problems.law.random import below, coin, half_normal, pick_bit, unit

MAX_TRIES = 1000
OP, EDGES, NECESSARY, GRAPH, LENGTH, BUILT, LAYERS, QUERY = range(8)


class Work(NamedTuple):
    """Scratch arrays of one proposal; every one int64."""

    widths: Ints  # (4,) items per layer
    children: Ints  # (3, 4) mask of children of item (i, j)
    first_edge: Ints  # (3, 4) id of the first instance parameter of item (i, j)
    ingredients: Ints  # (63,) direct ingredients of each abstract parameter, as a mask
    closure: Ints  # (63,) an abstract parameter with all it rests on in the structure, as a mask
    own_op: Ints  # (63,) operations of each parameter by itself, extras not counted
    levels: Ints  # (4,) [difficulty]: mask of abstract parameters
    parents: Ints  # (39, 4) parents of instance parameters in operand order
    num_parents: Ints  # (39,)
    order: Ints  # (63,) necessary parameters, topological, query last
    built: Ints  # (63,) all parameters in the order in which they became available
    independent: Ints  # (39,)
    extra: Ints  # (39,)
    facts: Ints  # (8,) OP, EDGES, ... of the proposal


def new_work() -> Work:
    """Fresh scratch arrays."""
    n, a, w = NUM_PARAMETERS, MAX_INSTANCES, MAX_WIDTH
    shapes = [(4,), (3, w), (3, w), (n,), (n,), (n,), (4,), (a, MAX_PARENTS), (a,), (n,), (n,), (a,), (a,), (8,)]
    return Work(*(np.zeros(shape, np.int64) for shape in shapes))


@kernel
def draw_size(state: State, s: Int, ip_max: Int) -> tuple[Int, Int, Int, Int, Int, Int, float]:
    """The proposal's sizes (n, m, d, w0, w1, e, p) for a given s."""
    n = 1 + max(below(state, s), below(state, s))
    m = n + below(state, s - n + 1)
    rel = (s - 1) / (ip_max - 1)
    a, b, c = math.exp(-((rel - 0.2) ** 2)), math.exp(-((rel - 0.5) ** 2)), math.exp(-((rel - 0.8) ** 2))
    while True:  # small families: until the smallest structure fits
        d = _one_of_three(state, a, b, c)
        t0 = _one_of_three(state, a, b, c)
        t1 = _one_of_three(state, a, b, c)
        w0, w1 = min(t0, t1), max(t0, t1)
        low = (d - 1) * w0
        if low <= ip_max:
            break
    p = unit(state)
    e = low + min(below(state, ip_max - low + 1), below(state, ip_max - low + 1))
    return n, m, d, w0, w1, min(e, (d - 1) * w1 * w1), p


@kernel
def _one_of_three(state: State, a: float, b: float, c: float) -> Int:
    point = unit(state) * (a + b + c)
    return 2 if point < a else 3 if point < a + b else 4


@kernel
def draw_structure(state: State, work: Work, d: Int, w0: Int, w1: Int, e: Int, p: float) -> None:
    """Step 1: layer widths and edges."""
    widths, children = work.widths, work.children
    for i in range(MAX_LAYERS):
        widths[i] = w0 if i < d else 0
    while True:
        room, items = 0, 0
        for i in range(d - 1):
            room += widths[i] * widths[i + 1]
            items += widths[i + 1]
        if room >= e and (items == e or unit(state) >= p):
            break
        growable = 0
        for i in range(d):
            if widths[i] < w1:
                growable |= 1 << i
        if growable == 0:
            break
        widths[pick_bit(state, growable)] += 1
    children[:] = 0
    edges = 0
    for i in range(1, d):
        for k in range(widths[i]):
            children[i - 1, below(state, widths[i - 1])] |= 1 << k
            edges += 1
    while edges < e:
        nth = below(state, room - edges)
        i, j, k = _absent_edge(widths, children, d, nth)
        children[i, j] |= 1 << k
        edges += 1
    work.facts[EDGES] = edges
    work.facts[LAYERS] = d
    _number_parameters(work)


@kernel
def _absent_edge(widths: Ints, children: Ints, d: Int, nth: Int) -> tuple[Int, Int, Int]:
    for i in range(d - 1):
        for j in range(widths[i]):
            for k in range(widths[i + 1]):
                if children[i, j] >> k & 1 == 0:
                    if nth == 0:
                        return i, j, k
                    nth -= 1
    return -1, -1, -1


@kernel
def _number_parameters(work: Work) -> None:
    """Ids, ingredients, closures and costs that follow from the structure."""
    widths, children, d = work.widths, work.children, work.facts[LAYERS]
    work.own_op[: locate_edges(children, work.first_edge)] = 1
    work.levels[:] = 0
    for difficulty in range(1, d):
        for i in range(d - difficulty):
            for j in range(widths[i]):
                a = abstract_id(i, j, i + difficulty)
                direct = summand_mask(children[i, j], work.first_edge[i, j], i, i + difficulty)
                closure, deeper = direct, (direct >> BASE0) << BASE0
                while deeper:
                    closure |= work.closure[lowest_bit(deeper)]
                    deeper &= deeper - 1
                work.ingredients[a] = direct
                work.closure[a] = closure | 1 << a
                work.own_op[a] = max(1, count_bits(direct) - 1)
                work.levels[difficulty] |= 1 << a


@kernel
def _cost(work: Work, mask: Int) -> Int:
    total = 0
    while mask:
        total += work.own_op[lowest_bit(mask)]
        mask &= mask - 1
    return total


@kernel
def choose_necessary(state: State, work: Work, n: Int, m: Int) -> Int:
    """Step 2: the necessary parameters, as a mask."""
    edges = work.facts[EDGES]
    available = edges
    for difficulty in range(1, 4):
        mask = work.levels[difficulty]
        while mask:
            a = lowest_bit(mask)
            mask &= mask - 1
            available += work.own_op[a] if work.ingredients[a] else 0
    budget = min(n, available)
    instance_budget = m - budget
    chosen = 0
    while budget > 0:
        remembered = -1
        for difficulty in range(1, 4):
            unchosen = work.levels[difficulty] & ~chosen
            if unchosen == 0:
                continue
            a = pick_bit(state, unchosen)
            if _cost(work, work.closure[a] & ~chosen) > budget:
                break
            remembered = a
        if remembered < 0:
            break
        added = work.closure[remembered] & ~chosen
        budget -= _cost(work, added)
        chosen |= added
    instances = (1 << edges) - 1
    for _ in range(min(instance_budget + budget, count_bits(instances & ~chosen))):
        chosen |= 1 << pick_bit(state, instances & ~chosen)
    return chosen


@kernel
def _needed_by(work: Work, mask: Int) -> Int:
    """Union of the ingredients of the abstract parameters in a mask."""
    needed = 0
    mask = (mask >> BASE0) << BASE0
    while mask:
        needed |= work.ingredients[lowest_bit(mask)]
        mask &= mask - 1
    return needed


@kernel
def draw_order(state: State, work: Work, chosen: Int) -> bool:
    """Step 3: a topological order of the necessary parameters, query last, and one parent for some instance parameters.

    Returns False where the order got stuck (the caller starts again at step 1).
    """
    edge_chance = unit(state)
    gravity = half_normal(state)
    one, two = math.exp(gravity), math.exp(gravity * 2)
    work.num_parents[:] = 0
    length = count_bits(chosen)
    unplaced, needed = chosen, 0
    candidates = chosen & ~_needed_by(work, chosen)
    for place in range(length - 1, -1, -1):
        if candidates == 0:
            return False
        a = pick_bit(state, candidates)
        work.order[place] = a
        unplaced &= ~(1 << a)
        free = unplaced & ~_needed_by(work, unplaced)
        if a >= BASE0:
            needed |= work.ingredients[a]
        elif unplaced:
            stuck = (free & needed) == 0  # no draw for the chance where it is stuck
            if stuck or unit(state) < edge_chance:
                b = _draw_parent(state, free if stuck else unplaced, needed, one, two)
                work.parents[a, 0] = b
                work.num_parents[a] = 1
                needed |= 1 << b
        candidates = free & needed
    work.facts[LENGTH] = length
    work.facts[NECESSARY] = chosen
    work.facts[QUERY] = work.order[length - 1]
    return True


@kernel
def _weight(a: Int, needed: Int, one: float, two: float) -> float:
    """exp(g * [abstract] + g * [not yet needed]), from exp(g) and exp(2g)."""
    reasons = int(a >= BASE0) + int(needed >> a & 1 == 0)
    return 1.0 if reasons == 0 else one if reasons == 1 else two


@kernel
def _draw_parent(state: State, pool: Int, needed: Int, one: float, two: float) -> Int:
    """One of the pool by weight, by the running sum over rising ids."""
    total, mask = 0.0, pool
    while mask:
        total += _weight(lowest_bit(mask), needed, one, two)
        mask &= mask - 1
    point = unit(state) * total
    a, mask = -1, pool
    while mask:
        a = lowest_bit(mask)
        mask &= mask - 1
        point -= _weight(a, needed, one, two)
        if point < 0.0:
            break
    return a


@kernel
def draw_extra_operations(state: State, work: Work, s: Int) -> None:
    """Step 4: extra operations and the parents of necessary instance parameters."""
    length = work.facts[LENGTH]
    op, not_full = 0, 0
    for place in range(length):
        a = work.order[place]
        op += work.own_op[a]
        if a < BASE0:
            work.extra[a] = 0
            if min(place + 1, 4) > 2:
                not_full |= 1 << a
    place_of = work.built  # borrowed: overwritten by step 5
    for place in range(length):
        place_of[work.order[place]] = place
    while op < s and not_full:
        a = pick_bit(state, not_full)
        work.extra[a] += 1
        op += 1
        if work.extra[a] == min(place_of[a] + 1, 4) - 2:
            not_full &= ~(1 << a)
    work.facts[OP] = op
    earlier = 0
    for place in range(length):
        a = work.order[place]
        if a < BASE0:
            k = work.extra[a] + 2
            if work.extra[a] == 0 and coin(state):
                k = 1
            k = min(k, place + 1, 4)
            if k == place + 1:
                take_all(work, a, work.order, place)
            else:
                _take_some(state, work, a, k, earlier)
        earlier |= 1 << a


@kernel
def add_parent(work: Work, a: Int, parent: Int) -> None:
    """Give parameter a one more parent, in operand order."""
    work.parents[a, work.num_parents[a]] = parent
    work.num_parents[a] += 1


@kernel
def take_all(work: Work, a: Int, pool: Ints, size: Int) -> None:
    """All of a pool in its order, after the parent that step 3 gave; then RNG."""
    given = work.parents[a, 0] if work.num_parents[a] else NOTHING
    for index in range(size):
        if pool[index] != given:
            add_parent(work, a, pool[index])
    add_parent(work, a, RNG_ID)


@kernel
def _take_some(state: State, work: Work, a: Int, k: Int, earlier: Int) -> None:
    pool, rng_in_pool = earlier, 1
    if work.num_parents[a]:
        pool &= ~(1 << work.parents[a, 0])
        k -= 1
    if k > 0 and coin(state):
        add_parent(work, a, RNG_ID)
        k -= 1
        rng_in_pool = 0
    for _ in range(k):
        size = count_bits(pool)
        nth = below(state, size + rng_in_pool)  # RNG stands last in the pool
        if nth == size:
            add_parent(work, a, RNG_ID)
            rng_in_pool = 0
        else:
            mask = pool
            for _ in range(nth):
                mask &= mask - 1
            b = lowest_bit(mask)
            add_parent(work, a, b)
            pool &= ~(1 << b)


@kernel
def propose(state: State, work: Work, s: Int, ip_max: Int) -> bool:
    """Steps 1 to 4 of one proposal; False where no order was found in MAX_TRIES tries."""
    n, m, d, w0, w1, e, p = draw_size(state, s, ip_max)
    for _ in range(MAX_TRIES):
        draw_structure(state, work, d, w0, w1, e, p)
        chosen = choose_necessary(state, work, n, m)
        if draw_order(state, work, chosen):
            draw_extra_operations(state, work, s)
            return True
    return False
