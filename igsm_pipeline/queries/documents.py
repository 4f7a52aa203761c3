"""Where the tokens before a query come from: the generator's own solutions, or what a model wrote.

``take(rows)`` gives the documents of some problems as ``tokens.Emitted``: ids, and where prompt, problem and sentences end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.tokens import Emitted, TokenTable, emit


class Documents(Protocol):
    """The documents of a problem set, by row."""

    def take(self, rows: NDArray[np.integer]) -> Emitted:
        """The documents of some rows, in the order given."""
        ...


@dataclass(frozen=True)
class GoldDocuments:
    """Problems with the generator's solutions."""

    batch: ProblemBatch
    table: TokenTable
    format: Literal["pq", "qp"]

    def take(self, rows: NDArray[np.integer]) -> Emitted:
        """See ``Documents``."""
        return emit(self.batch.take(rows), self.table, self.format)
