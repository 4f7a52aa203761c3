"""The law of proposals, slow and obvious: sets, lists and dicts of named tuples, written from the law's wording (docs/law.md).

It makes the same draws in the same order as the kernels, so that each of its problems must equal theirs, problem by problem
(``reference.naive_blocks`` makes the problems). Uniform choices from a set are made from the set in sorted order, RNG last.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from reference.naive_draws import Draws

from igsm_pipeline.problems.problem import ABSTRACT, INSTANCE, Parameter

RNG = Parameter(9, 0, 0, 0)
"""The random-number vertex; it sorts behind every parameter."""


@dataclass
class Structure:
    """Items per layer and the edges (i, j, k): item (i, j) holds item (i+1, k)."""

    widths: list[int]
    edges: set[tuple[int, int, int]] = field(default_factory=set)

    @property
    def instances(self) -> set[Parameter]:
        return {Parameter(INSTANCE, i, j, k) for i, j, k in self.edges}

    @property
    def abstracts(self) -> set[Parameter]:
        depth = len(self.widths)
        return {Parameter(ABSTRACT, i, j, c) for i in range(depth) for j in range(self.widths[i]) for c in range(i + 1, depth)}

    def ingredients(self, parameter: Parameter) -> set[Parameter]:
        """What an abstract parameter is made of directly; nothing for an instance parameter."""
        if parameter.kind == INSTANCE:
            return set()
        _, i, j, c = parameter
        children = {k for ii, jj, k in self.edges if (ii, jj) == (i, j)}
        found = {Parameter(INSTANCE, i, j, k) for k in children}
        return found if c == i + 1 else found | {Parameter(ABSTRACT, i + 1, k, c) for k in children}

    def with_ingredients(self, parameter: Parameter) -> set[Parameter]:
        """A parameter and all it is made of, recursively."""
        found = {parameter}
        for one in self.ingredients(parameter):
            found |= self.with_ingredients(one)
        return found

    def own_op(self, parameter: Parameter) -> int:
        """max(1, in-degree - 1), with one or two parents for an instance parameter."""
        return max(1, len(self.ingredients(parameter)) - 1)


@dataclass
class Proposal:
    """One proposal after steps 1 to 4 (and 5, once ``draw_unnecessary`` ran)."""

    structure: Structure
    order: list[Parameter]
    parents: dict[Parameter, list[Parameter]]
    op: int
    graph: set[Parameter] = field(default_factory=set)


def draw_size(draws: Draws, s: int, ip_max: int) -> tuple[int, int, int, int, int, int, float]:
    """n, m, d, w0, w1, e, p."""
    n = 1 + max(draws.below(s), draws.below(s))
    m = n + draws.below(s - n + 1)
    rel = (s - 1) / (ip_max - 1)
    weights = [math.exp(-((rel - center) ** 2)) for center in (0.2, 0.5, 0.8)]
    while True:
        d, t0, t1 = (draws.weighted((2, 3, 4), weights) for _ in range(3))
        w0, w1 = min(t0, t1), max(t0, t1)
        if (d - 1) * w0 <= ip_max:
            break
    p = draws.unit()
    smallest = (d - 1) * w0
    e = min(smallest + draws.below(ip_max - smallest + 1), smallest + draws.below(ip_max - smallest + 1))
    return n, m, d, w0, w1, max(smallest, min(e, (d - 1) * w1**2)), p


def draw_structure(draws: Draws, d: int, w0: int, w1: int, e: int, p: float) -> Structure:
    """Step 1."""
    widths = [w0] * d
    while True:
        growable = [i for i in range(d) if widths[i] < w1]
        room = sum(a * b for a, b in pairwise(widths))
        if room >= e and (sum(widths[1:]) == e or draws.unit() >= p):
            break
        if not growable:
            break
        widths[draws.choice(growable)] += 1
    structure = Structure(widths)
    for i in range(1, d):
        for k in range(widths[i]):
            structure.edges.add((i - 1, draws.below(widths[i - 1]), k))
    possible = {(i, j, k) for i in range(d - 1) for j in range(widths[i]) for k in range(widths[i + 1])}
    while len(structure.edges) < e:
        structure.edges.add(draws.choice(sorted(possible - structure.edges)))
    return structure


def choose_necessary(draws: Draws, structure: Structure, n: int, m: int) -> set[Parameter]:
    """Step 2."""

    def cost(parameters: Iterable[Parameter]) -> int:
        return sum(structure.own_op(one) for one in parameters)

    available = len(structure.instances) + cost(one for one in structure.abstracts if structure.ingredients(one))
    n0 = n = min(n, available)
    chosen: set[Parameter] = set()
    while n > 0:
        remembered = None
        for difficulty in (1, 2, 3):
            unchosen = sorted(one for one in structure.abstracts - chosen if one.difficulty == difficulty)
            if not unchosen:
                continue
            candidate = draws.choice(unchosen)
            if cost(structure.with_ingredients(candidate) - chosen) > n:
                break
            remembered = candidate
        if remembered is None:
            break
        n -= cost(structure.with_ingredients(remembered) - chosen)
        chosen |= structure.with_ingredients(remembered)
    for _ in range(min(m - n0 + n, len(structure.instances - chosen))):
        chosen.add(draws.choice(sorted(structure.instances - chosen)))
    return chosen


def draw_order(draws: Draws, structure: Structure, chosen: set[Parameter]) -> tuple[list[Parameter], dict[Parameter, list[Parameter]]] | None:
    """Step 3: the order, query last, and the parents that it added; None where it got stuck."""
    p0, g = draws.unit(), draws.half_normal()
    parents: dict[Parameter, list[Parameter]] = {one: [] for one in structure.instances}
    backwards: list[Parameter] = []

    def needed_by(some: Iterable[Parameter]) -> set[Parameter]:
        return {parent for one in some for parent in [*structure.ingredients(one), *parents.get(one, [])]}

    while len(backwards) < len(chosen):
        unplaced = chosen - set(backwards)
        picks = unplaced - needed_by(unplaced)
        if backwards:
            picks &= needed_by(backwards)
        if not picks:
            return None
        a = draws.choice(sorted(picks))
        backwards.append(a)
        unplaced.remove(a)
        if a.kind == INSTANCE and unplaced:
            not_needed_by_unplaced = unplaced - needed_by(unplaced)
            needed_by_placed = needed_by(backwards)
            stuck = not (not_needed_by_unplaced & needed_by_placed)
            if stuck or draws.unit() < p0:
                pool = sorted(not_needed_by_unplaced if stuck else unplaced)
                weights = [math.exp(g * ((b.kind == ABSTRACT) + (b not in needed_by_placed))) for b in pool]
                parents[a].append(draws.weighted_by_subtraction(pool, weights))
    return backwards[::-1], parents


def draw_extra_operations(draws: Draws, proposal: Proposal, s: int) -> None:
    """Step 4; sets ``op`` and completes the parents of necessary instance parameters."""
    order = proposal.order
    room = {a: max(0, min(i + 1, 4) - 2) for i, a in enumerate(order) if a.kind == INSTANCE}
    extra = dict.fromkeys(room, 0)
    proposal.op = sum(proposal.structure.own_op(a) for a in order)
    while proposal.op < s and any(extra[a] < room[a] for a in extra):
        extra[draws.choice(sorted(a for a in extra if extra[a] < room[a]))] += 1
        proposal.op += 1
    for i, a in enumerate(order):
        if a.kind == ABSTRACT:
            continue
        k = extra[a] + 2
        if extra[a] == 0 and draws.coin():
            k = 1
        k = min(k, i + 1, 4)
        parents = proposal.parents[a]
        pool = [*order[:i], RNG]
        if k == len(pool):
            parents += [b for b in pool if b not in parents]
            continue
        k -= len(parents)
        pool = sorted(set(pool) - set(parents))
        if k > 0 and draws.coin():
            parents.append(RNG)
            pool.remove(RNG)
            k -= 1
        for _ in range(k):
            parents.append(draws.choice(pool))
            pool.remove(parents[-1])


def draw_unnecessary(draws: Draws, proposal: Proposal) -> None:
    """Step 5; completes the parents of all other instance parameters and sets ``graph``."""
    structure = proposal.structure
    available: list[Parameter] = []

    def note_available() -> None:
        for a in sorted(structure.abstracts, key=lambda one: (one.difficulty, one)):
            if a not in available and structure.ingredients(a) <= set(available):
                available.append(a)

    note_available()
    for a in proposal.order:
        if a not in available:
            available.append(a)
            note_available()
    remaining = structure.instances - set(proposal.order)
    independent_ones: list[Parameter] = []
    proposal.graph = structure.instances | set(proposal.order)
    while remaining:
        a = draws.choice(sorted(remaining))
        remaining.remove(a)
        independent = draws.coin()
        pool = list(independent_ones if independent else available)
        k = 1
        while k < min(len(pool) + 1, 4) and draws.coin():
            k += 1
        parents = proposal.parents[a]
        if k == len(pool) + 1:
            parents += [*pool, RNG]
        else:
            if draws.coin():
                parents.append(RNG)
                k -= 1
            pool.sort()
            for _ in range(k):
                parents.append(draws.choice(pool))
                pool.remove(parents[-1])
        for b in parents:
            if b.kind == ABSTRACT:
                proposal.graph |= structure.with_ingredients(b)
        available.append(a)
        note_available()
        if independent:
            independent_ones.append(a)


def propose(draws: Draws, s: int, ip_max: int) -> Proposal | None:
    """Steps 1 to 4; None after 1000 stuck orders."""
    n, m, d, w0, w1, e, p = draw_size(draws, s, ip_max)
    for _ in range(1000):
        structure = draw_structure(draws, d, w0, w1, e, p)
        found = draw_order(draws, structure, choose_necessary(draws, structure, n, m))
        if found is not None:
            proposal = Proposal(structure, *found, op=0)
            draw_extra_operations(draws, proposal, s)
            return proposal
    return None
