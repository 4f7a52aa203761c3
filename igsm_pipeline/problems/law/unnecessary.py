"""Step 5 of the law as kernels: what the query does not need.

Source: arXiv:2407.20311, app. D; where the released generator differs from it, the released behaviour (docs/law.md lists the steps).
``proposal`` draws steps 1 to 4 into the same ``Work``; the order of draws is the order of the lines here too.
"""

from __future__ import annotations

import numpy as np

from igsm_pipeline.problems.anatomy import BASE0, RNG_ID, lowest_bit
from igsm_pipeline.problems.kernel import Int, kernel
from igsm_pipeline.problems.kernel import Words as State
from igsm_pipeline.problems.law.proposal import BUILT, EDGES, GRAPH, LENGTH, NECESSARY, Work, add_parent, take_all
from igsm_pipeline.problems.law.random import coin, pick_bit


@kernel
def draw_unnecessary(state: State, work: Work) -> None:
    """Step 5: parents of all other instance parameters, and G_d."""
    necessary, built = work.facts[NECESSARY], work.built
    instances = (1 << work.facts[EDGES]) - 1
    graph = instances | necessary
    available = np.int64(0)
    work.facts[BUILT] = 0
    available = _add_built(work, available)
    for place in range(work.facts[LENGTH]):
        a = work.order[place]
        if available >> a & 1 == 0:
            built[work.facts[BUILT]] = a
            work.facts[BUILT] += 1
            available = _add_built(work, available | 1 << a)
    remaining = instances & ~necessary
    num_independent = 0
    while remaining:
        a = pick_bit(state, remaining)
        remaining &= ~(1 << a)
        independent = coin(state)
        pool = work.independent if independent else built
        size = num_independent if independent else work.facts[BUILT]
        k = 1
        while k < min(size + 1, 4) and coin(state):
            k += 1
        if k == size + 1:
            take_all(work, a, pool, size)
        else:
            if coin(state):
                add_parent(work, a, RNG_ID)
                k -= 1
            mask = 0
            for index in range(size):
                mask |= 1 << pool[index]
            for _ in range(k):
                b = pick_bit(state, mask)
                mask &= ~(1 << b)
                add_parent(work, a, b)
        for index in range(work.num_parents[a]):
            b = work.parents[a, index]
            if b >= BASE0 and b != RNG_ID:
                graph |= work.closure[b]
        built[work.facts[BUILT]] = a
        work.facts[BUILT] += 1
        available = _add_built(work, available | 1 << a)
        if independent:
            work.independent[num_independent] = a
            num_independent += 1
    work.facts[GRAPH] = graph


@kernel
def _add_built(work: Work, available: Int) -> Int:
    """Append the abstract parameters that became available, by difficulty, then by id."""
    for difficulty in range(1, 4):
        mask = work.levels[difficulty] & ~available
        while mask:
            a = lowest_bit(mask)
            mask &= mask - 1
            if work.ingredients[a] & ~available == 0:
                available |= 1 << a
                work.built[work.facts[BUILT]] = a
                work.facts[BUILT] += 1
    return available
