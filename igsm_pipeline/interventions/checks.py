"""Checks of interchange and erasure: what must change nothing changes nothing, what must swap the answer swaps it, what is erased is gone."""

from __future__ import annotations

import pyarrow.parquet as pq

from igsm_pipeline.interventions.stage import INTERCHANGE, READ_AGAIN
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.stage import Outcome, StageUnits

_EXACT = 0.99
"""At least this share of pairs: rounding may turn one where two names are nearly as likely."""


def own_states(run: StageUnits) -> Outcome:
    """The receiver's own states, put back at any place and layer, change none of its first parameters."""
    return _at_least(run, "own", None, "kept")


def all_states(run: StageUnits) -> Outcome:
    """The twin's states at all positions from the question on make the model write what it writes first for the twin."""
    return _at_least(run, "twin", "all", "swapped")


def _at_least(run: StageUnits, donor: str, place: str | None, name: str) -> Outcome:
    wrong, cells = [], 0
    for folder in run.folders():
        for row in pq.read_table(folder / INTERCHANGE.files).to_pylist():
            if row["donor"] == donor and place in (None, row["place"]):
                cells += 1
                if row[name] < _EXACT:
                    wrong.append(f"{row['place']} at layer {row['layer']}: {name} {row[name]:.3f} of {row['n']} pairs")
    return Outcome(not wrong, "; ".join(wrong) or f"{cells} cells hold", {"cells": cells})


_TOLERATED = 0.05
"""Balanced accuracy above chance on other problems, the lower end of the interval: on the training states it is chance exactly."""


def erased_is_chance(run: StageUnits) -> Outcome:
    """Where a concept is erased, a new linear probe of it is not more than five points above chance, its whole interval taken."""
    wrong, cells = [], 0
    for unit in run.units:
        modulus = int(unit.settings["family"]["modulus"])
        for row in pq.read_table(run.store.path(unit) / READ_AGAIN.files).to_pylist():
            if row["erased"] == row["task"] and row["read_layer"] == row["layer"] and row["balanced_accuracy_low"] is not None:
                cells += 1
                if row["balanced_accuracy_low"] > 1 / TASKS[row["task"]].classes(modulus) + _TOLERATED:
                    wrong.append(f"{row['task']} at layer {row['layer']}: {row['balanced_accuracy']:.3f}")
    return Outcome(not wrong, "; ".join(wrong) or f"{cells} cells hold", {"cells": cells})
