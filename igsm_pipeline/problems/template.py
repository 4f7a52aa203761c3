"""The solution template of a finished record, and its steps, for everything outside the block kernel."""

from __future__ import annotations

import numpy as np

from igsm_pipeline.problems.kernel import Bytes, Int, Ints, Row, kernel
from igsm_pipeline.problems.steps import Steps, locate_edges, new_steps, solution_steps, write_template


@kernel
def steps_of_record(rec: Row, first_edge: Ints, steps: Steps) -> None:
    """Fill ``first_edge`` (3, 4) and ``steps`` from a record."""
    locate_edges(rec["children"], first_edge)
    solution_steps(steps, rec["order"], rec["num_necessary"], rec["children"], first_edge, rec["parents"], rec["form"], rec["constant"])


@kernel
def _template(rec: Row, first_edge: Ints, steps: Steps, out: Bytes) -> Int:
    steps_of_record(rec, first_edge, steps)
    return write_template(out, steps, rec["order"], rec["num_necessary"])


def template_of(record: Row) -> bytes:
    """The ASCII template of one record's solution."""
    out = np.zeros(4096, np.uint8)
    length = _template(record, np.zeros((3, 4), np.int64), new_steps(), out)
    return out[:length].tobytes()
