"""The check of the controls: where there is nothing to learn, nothing is found."""

from __future__ import annotations

import pyarrow.parquet as pq

from igsm_pipeline.knowledge.stage import CONTROLLED
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.stage import Outcome, StageUnits

_TOLERATED = 0.05
"""Balanced accuracy above chance: a constant answer is chance, and an interval ends above it by luck now and then."""


def permuted_is_chance(run: StageUnits) -> Outcome:
    """No probe that was taught the answers to other queries is more than five points above chance, its whole interval taken."""
    wrong, found = [], {}
    for unit in run.units:
        modulus = int(unit.settings["family"]["modulus"])
        for row in pq.read_table(run.store.path(unit) / CONTROLLED.files).to_pylist():
            if row["reader"] == "permuted" and row["balanced_accuracy_low"] is not None:
                chance = 1 / TASKS[row["task"]].classes(modulus)
                found[f"{row['task']} on {row['slice']}"] = round(row["balanced_accuracy"], 4)
                if row["balanced_accuracy_low"] > chance + _TOLERATED:
                    wrong.append(f"{row['task']} on {row['slice']}: {row['balanced_accuracy']:.3f}, where chance is {chance:.3f}")
    return Outcome(not wrong, "; ".join(wrong) or f"{len(found)} probes of permuted answers are at chance", {"balanced accuracy": found})
