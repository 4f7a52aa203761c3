"""What settings say of sizes: parameters of a network, tokens of a problem, problems and queries behind a unit.

Stages declare their disk and their work with these. Every figure is meant to be reached and not far passed: constants were read off finished
stores of the families mini, small and toy, and rounded up.

Ours: all of it; good to a factor of two or three.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from igsm_pipeline.store import Unit

VOCABULARY = {"gpt2": 50_257, "bpe": 2_200, "phrase": 600}
"""Ids of a token table: GPT-2's own, compact ones by segmentation."""
STATE_COPIES, STATES = 3, 2
"""A resumable state holds the weights and AdamW's two moments; two are kept."""
FOREIGN_WIDTH, FOREIGN_LAYERS = 1024, 24
"""Taken for a model whose settings do not say its size."""


def parameters_of(settings: Mapping[str, Any]) -> int:
    """Parameters of the network that settings with ``model`` and ``tokens`` sections describe; 0 where they describe none."""
    model, tokens = settings.get("model") or {}, settings.get("tokens") or {}
    if not {"layers", "heads", "head_width"} <= model.keys():
        return 0
    width = int(model["heads"]) * int(model["head_width"])
    vocabulary = VOCABULARY["gpt2" if tokens.get("vocab") == "gpt2" else tokens.get("segmentation", "bpe")]
    return int(model["layers"]) * (12 * width * width + 13 * width) + vocabulary * width


def tokens_per_problem(settings: Mapping[str, Any]) -> float:
    """Tokens of an average document of a family, rounded up."""
    op = float(settings["family"]["op_max"])
    return (40 + 14 * op) * (1 if settings["tokens"]["segmentation"] == "phrase" else 3)


def problems_behind(unit: Unit) -> float:
    """Problems of the sets that a unit reads."""
    return float(sum(int(one.settings["num_problems"]) for one in unit.inputs.values() if one.stage == "problem_sets"))


def queries_behind(units: Iterable[Unit]) -> float:
    """Queries of those of the units that are query sets, as if every problem had as many candidates as may be drawn."""
    asked = [one for one in units if one.stage == "probe_queries"]
    return float(sum(int(one.settings["per_problem"]) * len(one.settings["tasks"]) * problems_behind(one) for one in asked))


def size_behind(unit: Unit) -> tuple[int, int]:
    """Width and layers, the embedding counted as one, of the checkpoint or control that a unit reads."""
    models = (one.settings.get("model") or {} for one in unit.inputs.values() if one.stage in ("checkpoint", "control"))
    model = next((one for one in models if "layers" in one), None)
    return (int(model["heads"]) * int(model["head_width"]), int(model["layers"]) + 1) if model else (FOREIGN_WIDTH, FOREIGN_LAYERS + 1)
