"""Labels of many problems at once, from record arrays: what ``queries.labels`` says, as bit masks and compiled loops.

A probed parameter is a **code**: the record's parameter id (0..62), or, for a pair of items without an edge (candidate set ``all``),
``NO_EDGE + layer * 16 + item * 4 + child`` (64..111). Codes fit one byte and name a parameter of any problem without its record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.problems.anatomy import (
    MAX_INSTANCES,
    MAX_LAYERS,
    MAX_WIDTH,
    NOTHING,
    NUM_PARAMETERS,
    existing_mask,
    locate_edges,
    lowest_bit,
    parent_mask,
)
from igsm_pipeline.problems.kernel import kernel
from igsm_pipeline.problems.problem import INSTANCE, Parameter
from igsm_pipeline.problems.record import Records, parameter_of
from igsm_pipeline.queries.settings import Candidates
from igsm_pipeline.queries.tasks import TaskName

NO_EDGE = 64
NUM_CODES = NO_EDGE + (MAX_LAYERS - 1) * MAX_WIDTH * MAX_WIDTH
NEVER = 255


Bytes = NDArray[np.uint8]
Masks = NDArray[np.int64]


@dataclass(frozen=True)
class Facts:
    """What labels are read from; the first axis is always problem, the second parameter code.

    Attributes:
        candidates: bit mask of the parameters in each of ``graph``, ``existing`` and ``text``, shape (num_problems,) each.
        no_edge: code is a pair of items without an edge, bool, (num_problems, NUM_CODES).
        parents: bit mask of a parameter's parents, int64, (num_problems, NUM_CODES).
        foundations: bit mask of all that it rests on, likewise.
        rank: place in the solution's order, ``NEVER`` for unnecessary ones, uint8, (num_problems, NUM_CODES).
        distance: shortest path from the query, ``NEVER`` for unnecessary ones, uint8, likewise.
        depth: longest path downwards, uint8, likewise.
        values: true values, uint16, likewise.
        order: ids in solution order, uint8, (num_problems, NUM_PARAMETERS).
        num_steps: sentences of the solution, uint8, (num_problems,).
    """

    candidates: dict[str, NDArray[np.int64]]
    no_edge: NDArray[np.bool_]
    parents: NDArray[np.int64]
    foundations: NDArray[np.int64]
    rank: NDArray[np.uint8]
    distance: NDArray[np.uint8]
    depth: NDArray[np.uint8]
    values: NDArray[np.uint16]
    order: NDArray[np.uint8]
    num_steps: NDArray[np.uint8]

    def candidate_matrix(self, candidates: Candidates) -> NDArray[np.bool_]:
        """Which codes may be asked about, (num_problems, NUM_CODES)."""
        mask = self.candidates["existing" if candidates == "all" else candidates]
        matrix = np.zeros(self.no_edge.shape, np.bool_)
        matrix[:, :NUM_PARAMETERS] = mask[:, None] >> np.arange(NUM_PARAMETERS) & 1
        return matrix | self.no_edge if candidates == "all" else matrix

    def label(
        self,
        task: TaskName,
        modulus: int,
        problem: NDArray[np.integer],
        position: NDArray[np.integer],
        parameter: NDArray[np.uint8],
        other: NDArray[np.uint8],
    ) -> NDArray[np.int16]:
        """The true answers to queries given as columns, int16, (num_queries,); see ``labels.label_query``.

        Args:
            task: what is asked.
            modulus: M.
            problem: row of each query's problem.
            position: sentences of the generator's solution that stand before it.
            parameter: code of A.
            other: code of B, or ``NOTHING``.
        """
        return self.answer(task, modulus, Asking(problem, parameter, other, self.known_masks[problem, position]))

    def answer(self, task: TaskName, modulus: int, asking: Asking) -> NDArray[np.int16]:
        """The true answers where it is told which parameters are computed, by whatever solution, int16, (num_queries,)."""
        return _ANSWERS[task](self, asking, modulus).astype(np.int16)

    @cached_property
    def known_masks(self) -> NDArray[np.int64]:
        """Mask of the first t parameters of each solution, int64, (num_problems, NUM_PARAMETERS + 1) by problem and t."""
        masks = np.zeros((len(self.order), NUM_PARAMETERS + 1), np.int64)
        _accumulate(self.order, self.num_steps, masks)
        return masks


class Asking(NamedTuple):
    """Queries as columns, (num_queries,) each: problem, codes of A and B, and the mask of the parameters that are computed before it."""

    problem: NDArray[np.integer]
    parameter: NDArray[np.integer]
    other: NDArray[np.integer]
    known: NDArray[np.int64]

    def is_known(self) -> NDArray[np.bool_]:
        """Whether A is computed. A pair without an edge never is."""
        known = (self.known >> np.minimum(self.parameter, NUM_PARAMETERS - 1).astype(np.int64) & 1).astype(bool)
        return np.asarray(known & (self.parameter < NUM_PARAMETERS))


def analyse(records: Records) -> Facts:
    """The facts of some records."""
    count = len(records)
    existing, text = np.zeros(count, np.int64), np.zeros(count, np.int64)
    no_edge = np.zeros((count, NUM_CODES), np.bool_)
    parents, foundations = np.zeros((count, NUM_CODES), np.int64), np.zeros((count, NUM_CODES), np.int64)
    rank, distance = np.full((count, NUM_CODES), NEVER, np.uint8), np.full((count, NUM_CODES), NEVER, np.uint8)
    depth, values = np.zeros((count, NUM_CODES), np.uint8), np.zeros((count, NUM_CODES), np.uint16)
    widths, children, operands, order, num_steps = (
        np.ascontiguousarray(records[name]) for name in ("widths", "children", "parents", "order", "num_necessary")
    )
    _analyse(widths, children, operands, order, num_steps, existing, text, no_edge, parents, foundations, rank, distance, depth)
    values[:, :NUM_PARAMETERS] = records["values"]
    masks = {"graph": records["graph"].astype(np.int64), "existing": existing, "text": text}
    return Facts(masks, no_edge, parents, foundations, rank, distance, depth, values, order, num_steps)


def parameter_of_code(row: np.void, code: int) -> Parameter:
    """The parameter behind a code of one record row; a pair without an edge comes as an instance parameter."""
    if code < NO_EDGE:
        return parameter_of(row, code)
    layer, rest = divmod(code - NO_EDGE, MAX_WIDTH * MAX_WIDTH)
    return Parameter(INSTANCE, layer, *divmod(rest, MAX_WIDTH))


@kernel
def _analyse(
    widths: Bytes,
    children: Bytes,
    operands: Bytes,
    order: Bytes,
    num_necessary: Bytes,
    existing: Masks,
    text: Masks,
    no_edge: NDArray[np.bool_],
    parents: Masks,
    foundations: Masks,
    rank: Bytes,
    distance: Bytes,
    depth: Bytes,
) -> None:
    """Fill the arrays of ``Facts`` from the record's, problem by problem."""
    first_edge = np.zeros((MAX_LAYERS - 1, MAX_WIDTH), np.int64)
    for n in range(len(widths)):
        num_edges = locate_edges(children[n], first_edge)
        _list_pairs_without_edge(widths[n], children[n], no_edge[n])
        mask = existing_mask(widths[n], num_edges)
        named = (np.int64(1) << num_edges) - 1 | np.int64(1) << np.int64(order[n, num_necessary[n] - 1])
        left = mask
        while left:
            one = lowest_bit(left)
            left &= left - 1
            parents[n, one] = parent_mask(children[n], operands[n], first_edge, one)
            if one < num_edges:
                named |= parents[n, one]
        existing[n], text[n] = mask, named
        _reach(parents[n], foundations[n])
        for place in range(num_necessary[n]):
            rank[n, order[n, place]] = place
        _distances(parents[n], order[n, num_necessary[n] - 1], distance[n])
        _depths(parents[n], depth[n])


@kernel
def _list_pairs_without_edge(widths: Bytes, children: Bytes, no_edge: NDArray[np.bool_]) -> None:
    for layer in range(MAX_LAYERS - 1):
        for item in range(widths[layer]):
            for child in range(widths[layer + 1]):
                if not children[layer, item] >> child & 1:
                    no_edge[NO_EDGE + layer * MAX_WIDTH * MAX_WIDTH + item * MAX_WIDTH + child] = True


@kernel
def _reach(parents: Masks, foundations: Masks) -> None:
    """Transitive closure (Warshall on bit masks)."""
    foundations[:] = parents
    for middle in range(NUM_PARAMETERS):
        for one in range(NUM_PARAMETERS):
            if foundations[one] >> middle & 1:
                foundations[one] |= foundations[middle]


@kernel
def _distances(parents: Masks, query: int, distance: Bytes) -> None:
    """Breadth-first from the query."""
    layer, seen, steps = np.int64(1) << np.int64(query), np.int64(0), 0
    while layer:
        seen |= layer
        found = np.int64(0)
        for one in range(NUM_PARAMETERS):
            if layer >> one & 1:
                distance[one] = steps
                found |= parents[one]
        layer = found & ~seen
        steps += 1


@kernel
def _depths(parents: Masks, depth: Bytes) -> None:
    """Longest path downwards, raised until nothing changes (the graph has no cycle)."""
    changed = True
    while changed:
        changed = False
        for one in range(NUM_PARAMETERS):
            for parent in range(NUM_PARAMETERS):
                if parents[one] >> parent & 1 and depth[one] <= depth[parent]:
                    depth[one] = depth[parent] + 1
                    changed = True


@kernel
def _accumulate(order: Bytes, num_steps: Bytes, masks: Masks) -> None:
    """See ``Facts.known_masks``; behind the last sentence nothing more is computed."""
    for n in range(len(order)):
        for t in range(1, masks.shape[1]):
            masks[n, t] = masks[n, t - 1] | np.int64(1) << np.int64(order[n, t - 1]) if t <= num_steps[n] else masks[n, t - 1]


def _is_necessary(facts: Facts, asking: Asking, _: int) -> NDArray[np.integer | np.bool_]:
    return np.asarray(facts.rank[asking.problem, asking.parameter] != NEVER)


def _rests_on(facts: Facts, asking: Asking, _: int) -> NDArray[np.integer | np.bool_]:
    other = np.minimum(asking.other, NUM_PARAMETERS).astype(np.int64)
    return np.asarray((asking.other < NUM_PARAMETERS) & (facts.foundations[asking.problem, asking.parameter] >> other & 1).astype(bool))


def _is_known(_: Facts, asking: Asking, __: int) -> NDArray[np.integer | np.bool_]:
    return asking.is_known()


def _value(facts: Facts, asking: Asking, modulus: int) -> NDArray[np.integer | np.bool_]:
    return np.where(asking.is_known(), facts.values[asking.problem, asking.parameter].astype(np.int64), modulus)


def _can_be_next(facts: Facts, asking: Asking, _: int) -> NDArray[np.integer | np.bool_]:
    return np.asarray(~asking.is_known() & ((facts.parents[asking.problem, asking.parameter] & ~asking.known) == 0))


def _is_needed_next(facts: Facts, asking: Asking, modulus: int) -> NDArray[np.integer | np.bool_]:
    return np.asarray(np.logical_and(_can_be_next(facts, asking, modulus), _is_necessary(facts, asking, modulus)))


_ANSWERS: dict[TaskName, Callable[[Facts, Asking, int], NDArray[np.integer | np.bool_]]] = {
    "nece": _is_necessary,
    "dep": _rests_on,
    "known": _is_known,
    "value": _value,
    "can_next": _can_be_next,
    "nece_next": _is_needed_next,
}
"""The true answers of each task, computed for many queries at once."""

assert MAX_INSTANCES <= NUM_PARAMETERS < NO_EDGE <= NUM_CODES < NOTHING
