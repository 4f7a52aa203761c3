"""What problems are like, counted from their records: sizes, depths, parents, and whether they repeat.

Ours: the choice of statistics; they are those by which two generators of the same law are told apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.problems.anatomy import BASE0, NUM_PARAMETERS, abstract_place, count_bits, has_constant, lowest_bit, order_mask, query_of
from igsm_pipeline.problems.kernel import Ints, Words, kernel
from igsm_pipeline.problems.law.blocks import cached_shape
from igsm_pipeline.problems.law.details import WorldShape, problem_codes
from igsm_pipeline.problems.law.random import mix64
from igsm_pipeline.problems.law.reask import parent_masks
from igsm_pipeline.problems.record import ProblemBatch, Records

COUNTS = (
    "op", "statements", "parameters", "abstract parameters", "necessary parameters", "necessary abstract", "necessary instance", "depth",
    "statements with RNG", "childless abstract", "necessary childless abstract", "layers", "items", "abstract query",
)  # fmt: skip
"""Columns of ``count_problems``. Parameters are those of G_d; depth is the number of parameters on the longest way to the query."""
MAX_IN_DEGREE = 8


@dataclass(frozen=True)
class Counts:
    """Statistics of many problems.

    Attributes:
        by_problem: one row per problem, one column per name of ``COUNTS``. Shape (num_problems, 14).
        in_degrees: how many parameters of all G_d have 0, 1, ... parents, RNG counted as one. Shape (9,).
    """

    by_problem: NDArray[np.int64]
    in_degrees: NDArray[np.int64]

    def column(self, name: str) -> NDArray[np.int64]:
        """One statistic of every problem. Shape (num_problems,)."""
        found: NDArray[np.int64] = self.by_problem[:, COUNTS.index(name)]
        return found


def count_problems(records: Records) -> Counts:
    """The statistics of some records."""
    counts = Counts(np.zeros((len(records), len(COUNTS)), np.int64), np.zeros(MAX_IN_DEGREE + 1, np.int64))
    _count(records, counts.by_problem, counts.in_degrees)
    return counts


@kernel
def _count(records: Records, out: Ints, in_degrees: Ints) -> None:
    masks, ops, depth = np.zeros(NUM_PARAMETERS, np.int64), np.zeros(NUM_PARAMETERS, np.int64), np.zeros(NUM_PARAMETERS, np.int64)
    for index in range(len(records)):
        rec, row = records[index], out[index]
        parent_masks(rec, masks, ops)
        necessary = order_mask(rec["order"], rec["num_necessary"])
        for place in range(rec["num_necessary"]):
            a = np.int64(rec["order"][place])
            depth[a], mask = 1, masks[a]
            while mask:
                depth[a] = max(depth[a], depth[lowest_bit(mask)] + 1)
                mask &= mask - 1
        graph = np.int64(rec["graph"])
        query = query_of(rec)
        row[0], row[2], row[4], row[7], row[13] = rec["op"], count_bits(graph), rec["num_necessary"], depth[query], query >= BASE0
        mask = graph
        while mask:
            a = lowest_bit(mask)
            mask &= mask - 1
            is_necessary, degree = necessary >> a & 1, count_bits(masks[a])
            if a >= BASE0:
                row[3] += 1
                row[5] += is_necessary
                layer, item, _ = abstract_place(a)
                if rec["children"][layer, item] == 0:
                    row[9] += 1
                    row[10] += is_necessary
            else:
                row[1] += 1
                row[6] += is_necessary
                if has_constant(rec["parents"][a]):
                    degree += 1
                    row[8] += 1
            in_degrees[degree] += 1
        for layer in range(4):
            row[11] += rec["widths"][layer] > 0
            row[12] += rec["widths"][layer]


def problem_keys(batch: ProblemBatch) -> NDArray[np.uint64]:
    """A 64-bit number per problem that equal problems share: the same statements, in any order, and the same question. Shape (num_problems,)."""
    keys = np.zeros(len(batch), np.uint64)
    _fill_keys(batch.records, cached_shape(batch.world), np.zeros(64, np.uint64), keys)
    return keys


@kernel
def _fill_keys(records: Records, shape: WorldShape, codes: Words, keys: Words) -> None:
    for index in range(len(records)):
        key = np.uint64(0)
        for code in range(problem_codes(codes, records[index], shape)):
            key = mix64(key ^ codes[code])
        keys[index] = key
