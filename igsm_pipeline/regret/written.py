"""What is asked along a model's own solutions: every parameter, at the start of every sentence up to and including that of the first mistake.

The probe is asked behind " Define A as" where the sentence would begin. Labels follow from what the model has written, not from the generator's
solution. A sentence is right if the verifier finds no error in it or before it.

Source: regret is told at the first mistake (arXiv:2408.16293). Ours: the subsets beside it (``stage.SUBSETS``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from igsm_pipeline.correlation.mistakes import codes_by_name, make_queries
from igsm_pipeline.problems.anatomy import NOTHING
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.queries.facts import Asking, analyse
from igsm_pipeline.text.solution import HEAD

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Asked:
    """Queries of ``can_next`` along written solutions, sorted by problem, and which of them belong to which subset; (num_queries,) each.

    Attributes:
        queries: problem, task, position, parameter, parameter_b and label.
        subsets: name of ``stage.SUBSETS`` -> mask.
    """

    queries: pa.Table
    subsets: dict[str, Bools]


def ask_along(batch: ProblemBatch, verdicts: pa.Table, texts: Sequence[str]) -> Asked:
    """The queries along the solutions of some problems.

    Args:
        batch: the problems.
        verdicts: correct and sentence of verdicts.parquet, one row per problem of the batch, in its order.
        texts: what the model wrote before the answer, likewise.
    """
    facts = analyse(batch.records)
    matrix = facts.candidate_matrix("existing")
    columns: list[tuple[int, int, int, int, int, bool]] = []  # problem, position, code, known, code written there, whether its sentence is right
    for row, (correct, sentence) in enumerate(zip(verdicts["correct"].to_pylist(), verdicts["sentence"].to_pylist(), strict=True)):
        names = codes_by_name(batch, row)
        written = [names.get(match["name"], NOTHING) for match in HEAD.finditer(texts[row])]
        right, known = len(written) if correct or sentence is None else sentence, 0
        for position, code in enumerate(written[: right + 1]):
            columns += [(row, position, one, known, code, position < right) for one in np.flatnonzero(matrix[row]).tolist()]
            known |= 1 << code if code != NOTHING else 0
    values = np.array(columns, dtype=np.int64).reshape(len(columns), 6).T
    problem, places, parameter, masks, named, is_right = values
    asking = Asking(problem, parameter, np.full(len(parameter), NOTHING), masks)
    label = facts.answer("can_next", batch.modulus, asking) > 0
    here, before = parameter == named, is_right.astype(bool)
    wrong = here & ~before
    event = {(one, place) for one, place in zip(problem[wrong & ~label].tolist(), places[wrong & ~label].tolist(), strict=True)}
    at_event = np.array([(one, place) in event for one, place in zip(problem.tolist(), places.tolist(), strict=True)], dtype=bool)
    subsets = {
        "all": np.ones(len(parameter), bool),
        "right": here & before,
        "mistake": wrong & ~label,
        "elsewhere": at_event & ~here & ~label & ~asking.is_known(),
        "slip": wrong & label,
    }
    return Asked(make_queries("can_next", problem, places, parameter, label), subsets)
