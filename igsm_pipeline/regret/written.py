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
    places: list[tuple[int, int, int, int, bool]] = []  # problem, sentence, known, code written there, whether the sentence is right
    for row, (correct, sentence) in enumerate(zip(verdicts["correct"].to_pylist(), verdicts["sentence"].to_pylist(), strict=True)):
        names = codes_by_name(batch, row)
        written = [names.get(match["name"], NOTHING) for match in HEAD.finditer(texts[row])]
        right, known = len(written) if correct or sentence is None else sentence, 0
        for position, code in enumerate(written[: right + 1]):
            places.append((row, position, known, code, position < right))
            known |= 1 << code if code != NOTHING else 0
    rows, positions, masks, named, is_right = np.array(places, dtype=np.int64).reshape(len(places), 5).T
    place, parameter = np.nonzero(matrix[rows])
    asking = Asking(rows[place], parameter, np.full(len(parameter), NOTHING), masks[place])
    label = facts.answer("can_next", batch.modulus, asking) > 0
    here, before = parameter == named[place], is_right[place].astype(bool)
    wrong = here & ~before
    at_event = np.isin(place, place[wrong & ~label])
    subsets = {
        "all": np.ones(len(parameter), bool),
        "right": here & before,
        "mistake": wrong & ~label,
        "elsewhere": at_event & ~here & ~label & ~asking.is_known(),
        "slip": wrong & label,
    }
    return Asked(make_queries("can_next", rows[place], positions[place], parameter, label), subsets)
