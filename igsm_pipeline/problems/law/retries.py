"""Retry data: which wrong parameters are named, and taken back, before which sentence of a solution.

Source: arXiv:2408.16293 (Part 2.2). At the beginning of each sentence, with probability ``rate``, a wrong parameter is named and taken back; with
probability ``rate`` there is another one, and so on. Which parameters are wrong depends on the kind:

- ``retry``: any that cannot be computed next; those already computed are left out.
- ``weak``: one of a later sentence of the solution; it may be computable, which makes a fake mistake.
- ``miss``: any parameter that the problem names and that has not appeared in the solution, neither computed nor taken back.

Ours: "any parameter" of ``retry`` is one of the structure (``existing`` in the queries' terms). Where no parameter is left, none is inserted. The
draws of a problem depend on the seed and on its record's key (block, slot, draw) alone; the problem itself does not change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from igsm_pipeline import seeding
from igsm_pipeline.problems.anatomy import MAX_LAYERS, MAX_WIDTH, existing_mask, locate_edges, lowest_bit, operand_mask, parent_mask, query_of
from igsm_pipeline.problems.kernel import Int, Ints, Row, kernel
from igsm_pipeline.problems.kernel import Words as State
from igsm_pipeline.problems.law.random import mix64, pick_bit, start, unit
from igsm_pipeline.problems.record import Records
from igsm_pipeline.problems.settings import RetrySettings

RETRY, WEAK, MISS = range(3)
KINDS = {"retry": RETRY, "weak": WEAK, "miss": MISS}
STREAM = "retry"


@dataclass(frozen=True)
class Retries:
    """What is taken back in the solutions of some problems.

    Attributes:
        problem: row of the problem, (num_retries,), rising.
        sentence: sentence of the solution before which it stands, from 0, (num_retries,), rising within a problem.
        parameter: id of the wrong parameter, (num_retries,).
    """

    problem: Ints
    sentence: Ints
    parameter: Ints

    def __len__(self) -> int:
        return len(self.problem)

    def of(self, row: int) -> list[tuple[int, int]]:
        """(sentence, parameter) of one problem's retries, in their order."""
        mine = slice(*np.searchsorted(self.problem, [row, row + 1]))
        return list(zip(self.sentence[mine].tolist(), self.parameter[mine].tolist(), strict=True))


def draw_retries(records: Records, settings: RetrySettings) -> Retries:
    """Draw the retries of some problems.

    Args:
        records: shape (num_problems,), dtype ``RECORD``.
        settings: kind, rate and seed.

    Example:
        >>> from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate_block
        >>> from igsm_pipeline.world import load_world
        >>> batch = generate_block(ProblemSetSettings(family=family_by_name("med"), num_problems=3), load_world("igsm"), 0)
        >>> retries = draw_retries(batch.records, RetrySettings(kind="weak", rate=0.9))
        >>> order = batch.records[0]["order"].tolist()
        >>> all(parameter in order[sentence + 1 :] for sentence, parameter in retries.of(0))
        True
    """
    return Retries(*_draw(records, seeding.kernel_key(settings.seed, STREAM), KINDS[settings.kind], settings.rate))


@kernel
def named_mask(row: Row, num_edges: Int) -> Int:
    """The parameters that a problem's text names, as a mask: those with a statement, what these rest on, and the query."""
    mask = ((np.int64(1) << num_edges) - 1) | np.int64(1) << query_of(row)
    for one in range(num_edges):
        mask |= operand_mask(row["parents"][one])
    return mask


@kernel
def computable_mask(row: Row, first_edge: Ints, existing: Int, known: Int) -> Int:
    """Of the parameters in ``existing``, those that are not known and all of whose parents are."""
    found, left = np.int64(0), existing & ~known
    while left:
        one = lowest_bit(left)
        left &= left - 1
        if parent_mask(row["children"], row["parents"], first_edge, one) & ~known == 0:
            found |= np.int64(1) << one
    return found


@kernel
def _draw(records: Records, key: State, kind: Int, rate: float) -> tuple[Ints, Ints, Ints]:
    """The arrays of ``Retries``, in its order."""
    state, first_edge = np.empty(4, np.uint64), np.zeros((MAX_LAYERS - 1, MAX_WIDTH), np.int64)
    found, end = np.empty((64 + 8 * len(records), 3), np.int64), 0
    for i in range(len(records)):
        row = records[i]
        place = mix64(np.uint64(row["block"]) << np.uint64(32) | np.uint64(row["slot"]))
        start(state, key, place ^ np.uint64(row["draw"]))
        num_edges = locate_edges(row["children"], first_edge)
        existing = existing_mask(row["widths"], num_edges)
        named, known, seen = named_mask(row, num_edges), np.int64(0), np.int64(0)
        later = np.int64(0)
        for sentence in range(row["num_necessary"]):
            later |= np.int64(1) << np.int64(row["order"][sentence])
        for sentence in range(row["num_necessary"]):
            own = np.int64(1) << np.int64(row["order"][sentence])
            later &= ~own
            pool = later
            if kind == RETRY:
                pool = existing & ~known & ~computable_mask(row, first_edge, existing, known)
            while unit(state) < rate:
                if kind == MISS:
                    pool = named & ~known & ~seen
                if pool == 0:
                    break
                wrong = pick_bit(state, pool)
                seen |= np.int64(1) << wrong
                if end == len(found):
                    grown = np.empty((2 * end, 3), np.int64)
                    grown[:end] = found
                    found = grown
                found[end, 0], found[end, 1], found[end, 2] = i, sentence, wrong
                end += 1
            known |= own
    return found[:end, 0].copy(), found[:end, 1].copy(), found[:end, 2].copy()
