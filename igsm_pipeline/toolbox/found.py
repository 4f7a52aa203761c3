"""What the members of an experiment have found so far, read once for every part of the page that compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.experiments.experiment import Experiment, Member
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.reports.findings import finished_verdicts
from igsm_pipeline.reports.paper_rows import Accuracy, accuracy_by_op, accuracy_rows
from igsm_pipeline.store import Store, Unit


@dataclass(frozen=True)
class Found:
    """What one member has found.

    Attributes:
        member: the member.
        units: all its units.
        accuracies: what it solves, per slice and beams; of its finished verdicts, as all that follows.
        by_op: what it solves greedily, per op.
        correct: (slice, beams) -> whether each solution is fully correct, bool, (num_problems,).
        scored: its units of probe_scores that are finished and whole.
    """

    member: Member
    units: Sequence[Unit]
    accuracies: Sequence[Accuracy]
    by_op: Sequence[Accuracy]
    correct: Mapping[tuple[str, int], NDArray[np.bool_]]
    scored: Sequence[Unit]


def read_found(experiment: Experiment, store: Store) -> list[Found]:
    """What every member has found, in the grid's order; nothing of those that have not begun."""
    return [_read(member, store) for member in experiment.members]


def _read(member: Member, store: Store) -> Found:
    units = units_of(member)
    rows = finished_verdicts(units, store)
    right: dict[tuple[str, int], list[bool]] = {}
    for row in rows:
        right.setdefault((row["slice"], row["beams"]), []).append(bool(row["correct"]))
    return Found(
        member,
        units,
        accuracy_rows(rows),
        accuracy_by_op(row for row in rows if row["beams"] == 1),
        {key: np.array(one, dtype=np.bool_) for key, one in right.items()},
        [unit for unit in units if unit.stage == "probe_scores" and store.check(unit).fresh],
    )
