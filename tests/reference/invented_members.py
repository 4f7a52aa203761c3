"""Members that are finished without computing: every unit has a file, and those that a test reads have invented rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from igsm_pipeline.experiments.experiment import Member
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.store import Store, Unit


def invent(store: Store, member: Member, write: Callable[[Unit, Path], None]) -> None:
    """Finish every unit of a member but its report and correlation; ``write`` puts rows into the folders of the units that are read."""
    for unit in units_of(member):
        if unit.stage in ("report", "error_correlation") or store.check(unit).fresh:
            continue
        with store.write(unit) as writing:
            (writing.folder / "a.bin").write_text(unit.fingerprint)
            writing.counts["parameters"] = 1000 * member.settings.model.layers
            write(unit, writing.folder)


def invented_verdicts(correct: Sequence[bool], op: Sequence[int]) -> pa.Table:
    """Verdicts of finished solutions without needless steps, one row per problem."""
    rows: dict[str, Any] = {"correct": list(correct), "op": list(op)}
    rows |= {name: [True] * len(correct) for name in ("final_answer_correct", "finished")}
    return pa.table(rows | {name: [0] * len(correct) for name in ("unnecessary_operations", "unnecessary_parameters")})
