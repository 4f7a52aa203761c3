"""Rows of tables from the effects of interventions: what exchanges or pushes do to the pairs of all parts together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from igsm_pipeline.intervals.bootstrap import interval, mean_of
from igsm_pipeline.intervals.share import share
from igsm_pipeline.interventions.interchange import Exchanged

EXCHANGE = ("donor", "place", "layer")
_UNBOUNDED = (-np.inf, np.inf)


def effect_rows(
    made: Sequence[Exchanged], cell: Sequence[str] = EXCHANGE, hit: str = "swapped", *, seed: int = 0, num_resamples: int = 1000
) -> list[dict[str, Any]]:
    """A row per cell: how many pairs there are, how often the model names the other parameter or keeps its own, and the shift of the log-odds.

    Shares have Wilson's interval, since pairs are independent; the mean shift has a bootstrap interval over pairs.

    Args:
        made: the effects, in parts; a cell need not be in all of them.
        cell: names of the columns that a key of ``Exchanged.effects`` becomes.
        hit: name of the column of the share ``swapped``.
        seed, num_resamples: of the bootstrap.
    """
    rows = []
    for key in dict.fromkeys(key for one in made for key in one.effects):
        found = [one.effects[key] for one in made if key in one.effects]
        swapped, kept, shift = (np.concatenate([getattr(one, name) for one in found]) for name in ("swapped", "kept", "shift"))
        sums = np.stack([shift, np.ones_like(shift)], axis=1)
        rows.append({
            **dict(zip(cell, key, strict=True)), "n": len(swapped),
            **share(int(swapped.sum()), len(swapped)).columns(hit), **share(int(kept.sum()), len(kept)).columns("kept"),
            **interval(sums, mean_of, scale=_UNBOUNDED, seed=seed, num_resamples=num_resamples).columns("shift"),
        })  # fmt: skip
    return rows
