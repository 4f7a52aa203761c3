"""The paper's own figures, to stand beside ours.

Source: arXiv:2407.20311, figures 3, 4 and 7a; the values of the models of app. F. Percent, beam 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

FIGURE_3: Mapping[str, Mapping[str, float]] = {
    "med_pq": {"op<=max": 99.9, "op=max": 99.1, "op=20": 91.8, "op=21": 87.9, "op=22": 84.0, "op=23": 76.8, "reask": 91.6},
    "med_qp": {"op<=max": 100.0, "op=max": 99.3, "op=20": 92.4, "op=21": 89.9, "op=22": 84.8, "op=23": 78.2, "reask": 91.4},
    "hard_pq": {"op<=max": 100.0, "op=max": 99.4, "op=28": 94.4, "op=29": 92.0, "op=30": 90.6, "op=31": 86.8, "op=32": 82.8, "reask": 91.3},
    "hard_qp": {"op<=max": 100.0, "op=max": 99.2, "op=28": 94.5, "op=29": 93.2, "op=30": 91.0, "op=31": 88.2, "op=32": 85.3, "reask": 89.4},
}
"""Fully correct solutions."""

FIGURE_4_REASK: Mapping[str, tuple[float, float]] = {
    "med_pq": (0.15, 0.12),
    "med_qp": (0.17, 0.15),
    "hard_pq": (0.52, 0.36),
    "hard_qp": (0.45, 0.32),
}
"""Unnecessary operations and parameters per fully correct solution of reask problems; about 0 in every other slice."""

_SLICES = ("op<=max", "op=max", "op=20", "op=21", "op=22", "op=23")
FIGURE_7A_MED_PQ: Mapping[str, Mapping[str, float]] = {
    "nece": dict(zip(_SLICES, (99.8, 99.8, 98.7, 97.9, 96.9, 94.7), strict=True)),
    "dep": dict(zip(_SLICES[:2], (99.7, 99.3), strict=True)),
}
"""Accuracy of V-probes."""

FIGURE_7A_MAJORITY_MED_PQ: Mapping[str, Mapping[str, float]] = {
    "nece": dict(zip(_SLICES, (74.7, 54.8, 50.1, 50.4, 51.4, 52.1), strict=True)),
    "dep": dict(zip(_SLICES, (84.6, 82.2, 83.0, 83.5, 83.5, 83.7), strict=True)),
}
"""Accuracy of the majority guess, candidate set ``all``."""

FIGURES_2_15 = (
    "The paper's figures 2 and 15 ask GPT-4-turbo and GPT-4o with 5 examples, arithmetic mod 5, and judge the final answer alone:"
    " near chance from 9 and from 11 operations on."
)
"""Source: arXiv:2407.20311, figures 2 and 15, in words."""

PAPER_MODEL = "12 layers, 124 million weights, problems of up to 15 operations"
"""The model behind the med families' values (GPT2-12-12, app. F)."""
_BEYOND = {"med": ("op=20", "op=21", "op=22", "op=23"), "hard": ("op=28", "op=29", "op=30", "op=31", "op=32")}


def nearest_family(experiment: str, order: str) -> str:
    """The paper's family that an experiment is; where it is none, the med family whose prompts have the same order (``pq`` or ``qp``)."""
    return experiment if experiment in FIGURE_3 else f"med_{order}" if f"med_{order}" in FIGURE_3 else "med_pq"


def matching_slice(family: str, part: str, beyond: Sequence[str]) -> str | None:
    """The paper's slice that stands beside one of ours; None where it has none.

    Ours: slices beyond the trained operations stand beside the paper's in their order (the first beside its first, op 20 or 28).

    Args:
        family: of the paper.
        part: our slice.
        beyond: our slices beyond the trained operations, shortest first.
    """
    theirs = _BEYOND[family.partition("_")[0]]
    if part in theirs or part in ("op<=max", "op=max", "reask"):
        return part
    return theirs[beyond.index(part)] if part in beyond and beyond.index(part) < len(theirs) else None
