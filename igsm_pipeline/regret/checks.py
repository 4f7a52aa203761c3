"""Checks of retry upon regret: where nothing was taken back nothing changed, and the truth lets no wrong name pass while tries are left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq

from igsm_pipeline.regret.stage import SOLVED
from igsm_pipeline.stage import Outcome, StageUnits
from igsm_pipeline.verification.verdict import Error

_EXACT = 0.99
"""At least this share of solutions: rounding may turn one where two tokens are nearly as likely."""
NAMED_WRONG = (Error.UNKNOWN_PARAMETER, Error.REDEFINED_PARAMETER)
"""Errors that a name alone makes, and that say the name could not be computed next."""


def no_retry_no_change(run: StageUnits) -> Outcome:
    """Solutions in which no name was taken back have the verdict of the greedy ones, in every arm but beam search."""
    alike, number = 0, 0
    for rows in _solutions(run):
        greedy = {(row["slice"], row["problem"]): row["error"] for row in rows if row["decoder"] == "greedy"}
        same = [
            greedy[row["slice"], row["problem"]] == row["error"] for row in rows if row["decoder"] not in ("greedy", "beam") and not row["retries"]
        ]
        alike, number = alike + sum(same), number + len(same)
    return Outcome(
        alike >= _EXACT * number, f"{alike:,} of {number:,} solutions without a retry have the verdict of the greedy one", {"solutions": number}
    )


def truth_names_right(run: StageUnits) -> Outcome:
    """With the true answer, no solution that has tries left fails at a parameter that the problem lacks or that was computed before."""
    wrong, number = list[str](), 0
    for rows in _solutions(run):
        for row in rows:
            if row["decoder"] == "truth" and row["retries"] < row["tries"]:
                number += 1
                if row["error"] in NAMED_WRONG:
                    wrong.append(f"{row['slice']} problem {row['problem']}: {row['error']} after {row['retries']} of {row['tries']} tries")
    return Outcome(not wrong, "; ".join(wrong) or f"{number:,} solutions with tries left name nothing unknown or twice", {"solutions": number})


def _solutions(run: StageUnits) -> Iterator[list[dict[str, Any]]]:
    return (pq.read_table(folder / SOLVED.files).to_pylist() for folder in run.folders())
