"""Checks of the interchange: what must change nothing changes nothing, and what must swap the answer swaps it."""

from __future__ import annotations

import pyarrow.parquet as pq

from igsm_pipeline.interventions.stage import INTERCHANGE
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
