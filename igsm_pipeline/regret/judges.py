"""Judges of names: who says, after " Define A as", that A cannot be computed next.

A judge sees the rows whose name has just been read: what they have kept so far, and the state of the model at the name's end, as the probe reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from igsm_pipeline.correlation.mistakes import codes_by_name
from igsm_pipeline.probes.v_probe import VProbe
from igsm_pipeline.problems.anatomy import NOTHING
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.queries.facts import Asking, analyse
from igsm_pipeline.seeding import generator
from igsm_pipeline.text.solution import HEAD
from igsm_pipeline.tokens import TokenTable

Bools = NDArray[np.bool_]
_DEFINE, _AS = " Define ", " as"


class Judge(Protocol):
    """Says which names are regretted."""

    @property
    def probe(self) -> VProbe | None:
        """The probe whose changed embedding the text must be read with; None: no state is needed."""

    def begin(self, rows: Sequence[int]) -> None:
        """Solutions of these problems are begun, or begun again."""

    def regrets(self, rows: Sequence[int], kept: Sequence[NDArray[np.uint32]], states: Tensor | None) -> Bools:
        """Which of some rows name what cannot be computed next, (rows,).

        Args:
            rows: numbers of their problems.
            kept: ids that each row has written and kept, up to " as".
            states: of the last layer, after the final norm, at that token, (rows, d_model); None without a probe.
        """


class ProbeJudge:
    """A V-probe of can_next. It regrets a name where it thinks "cannot" likelier than "can"."""

    def __init__(self, probe: VProbe) -> None:
        self.probe: VProbe | None = probe

    def begin(self, rows: Sequence[int]) -> None:
        """See ``Judge``."""

    def regrets(self, rows: Sequence[int], kept: Sequence[NDArray[np.uint32]], states: Tensor | None) -> Bools:
        """See ``Judge``."""
        assert self.probe is not None
        assert states is not None
        said = self.probe.answer(states).argmax(-1)
        return np.asarray((said == 0).cpu().numpy(), dtype=bool)


class TrueJudge:
    """The truth about the problems. A name that a problem does not have cannot be computed, either."""

    probe: VProbe | None = None

    def __init__(self, batch: ProblemBatch, table: TokenTable) -> None:
        self.batch, self._table, self._facts = batch, table, analyse(batch.records)
        self._codes: dict[int, dict[str, int]] = {}

    def begin(self, rows: Sequence[int]) -> None:
        """See ``Judge``."""

    def regrets(self, rows: Sequence[int], kept: Sequence[NDArray[np.uint32]], states: Tensor | None) -> Bools:
        """See ``Judge``."""
        return np.array([not self.can_be_next(row, self._table.decode(ids, replace=True)) for row, ids in zip(rows, kept, strict=True)], dtype=bool)

    def can_be_next(self, row: int, text: str) -> bool:
        """Whether the name with which a text ends (" Define A as") can be computed once the sentences before it are read."""
        if row not in self._codes:
            self._codes[row] = codes_by_name(self.batch, row)
        codes = self._codes[row]
        before, _, name = text.removesuffix(_AS).rpartition(_DEFINE)
        known = 0
        for match in HEAD.finditer(before):
            known |= 1 << codes[match["name"]] if match["name"] in codes else 0
        if name not in codes:
            return False
        asking = Asking(np.array([row]), np.array([codes[name]]), np.array([NOTHING]), np.array([known], np.int64))
        return bool(self._facts.answer("can_next", self.batch.modulus, asking)[0])


class ChanceJudge:
    """Regrets a share of names at random: what going back does by itself. Each row has draws of its own.

    Args:
        rate: the share.
        seed: of the draws.
    """

    probe: VProbe | None = None

    def __init__(self, rate: float, seed: int) -> None:
        self._rate, self._seed, self._draws = rate, seed, dict[int, np.random.Generator]()

    def begin(self, rows: Sequence[int]) -> None:
        """See ``Judge``."""
        self._draws |= {row: generator(self._seed, "chance regret", row) for row in rows}

    def regrets(self, rows: Sequence[int], kept: Sequence[NDArray[np.uint32]], states: Tensor | None) -> Bools:
        """See ``Judge``."""
        return np.array([self._draws[row].random() < self._rate for row in rows], dtype=bool)
