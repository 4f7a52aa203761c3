"""The split by problem of finished records: the hash of statements and question, where the split is not by template. Ours."""

from __future__ import annotations

import numpy as np

from igsm_pipeline.problems.kernel import Words, kernel
from igsm_pipeline.problems.law.details import WorldShape, problem_codes
from igsm_pipeline.problems.law.split import Hashing, codes_bin, new_hashing
from igsm_pipeline.problems.record import Records


@kernel
def _fill_problem_bins(records: Records, shape: WorldShape, codes: Words, hashing: Hashing) -> None:
    for index in range(len(records)):
        rec = records[index]
        rec["split_bin"] = codes_bin(codes, problem_codes(codes, rec, shape), hashing)


def fill_problem_bins(records: Records, shape: WorldShape) -> None:
    """Set ``split_bin`` of finished records from their statements and question.

    Args:
        records: of one world.
        shape: of that world.
    """
    _fill_problem_bins(records, shape, np.zeros(64, np.uint64), new_hashing())
