"""How much disk a unit will take, told from its settings alone, so that a first run can be refused before it starts.

Every figure is meant to be reached and not far passed: constants were read off finished stores of the families mini, small and toy, and rounded up.

Ours: all of it; good to a factor of two or three. A training counts with the two states that it keeps to resume from, though they go at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from igsm_pipeline.store import Unit

FOLDER_BYTES = 16_384
"""Of any unit: manifest, Parquet footers."""
VOCABULARY = {"gpt2": 50_257, "bpe": 2_200, "phrase": 600}
"""Ids of a token table: GPT-2's own, compact ones by segmentation."""
STATE_COPIES, STATES = 3, 2
"""A resumable state holds the weights and AdamW's two moments; two are kept."""


def disk_of(unit: Unit) -> int:
    """Bytes that a unit will take at most while it is made, expected."""
    return FOLDER_BYTES + round(_BYTES.get(unit.stage, _some)(unit))


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


def _problem_set(unit: Unit) -> float:
    op = unit.settings["op"] or unit.settings["family"]["op_max"]
    return float(unit.settings["num_problems"]) * (20 + 12 * float(op))


def _shards(unit: Unit) -> float:
    return tokens_per_problem(unit.settings) * _problems(unit)


def _checkpoint(unit: Unit) -> float:
    parameters = parameters_of(unit.settings)
    return 4.0 * parameters * (1 + STATE_COPIES * STATES) if parameters else 4e9


def _generations(unit: Unit) -> float:
    return 3 * min(float(unit.settings["max_tokens"]), tokens_per_problem(unit.settings)) * _problems(unit)


def _queries(unit: Unit) -> float:
    return 12.0 * _num_queries([unit])


def _activations(unit: Unit) -> float:
    model = _model(unit)
    states = (int(model["layers"]) + 1) * int(model["heads"]) * int(model["head_width"]) if "layers" in model else 25 * 1024
    return (2.0 * states + 24) * _num_queries(unit.inputs.values())


def _linear(unit: Unit) -> float:
    """A probe per task and layer, of as many classes as the modulus has, and one."""
    model = _model(next((one for one in unit.inputs.values() if one.stage == "activation_cache"), unit))
    width, layers = (int(model["heads"]) * int(model["head_width"]), int(model["layers"]) + 1) if "layers" in model else (1024, 25)
    return 4.0 * len(unit.settings["tasks"]) * layers * (width + 1) * (int(unit.settings["modulus"]) + 1)


def _v_probe(unit: Unit) -> float:
    """The low-rank update of the embedding and the head, with a state to resume from."""
    model, rank = _model(unit), float(unit.settings["rank"])
    width = int(model["heads"]) * int(model["head_width"]) if "layers" in model else 1024
    return 4 * (1 + STATE_COPIES) * rank * (VOCABULARY["bpe"] + width + 64.0)


def _scores(unit: Unit) -> float:
    """A prediction per query, layer and arm."""
    layers = int(_model(unit).get("layers", 24)) + 2
    return 2 * layers * 6.0 * _num_queries(unit.inputs.values()) + 1e6


def _some(_unit: Unit) -> float:
    return 1e6


_BYTES: Mapping[str, Callable[[Unit], float]] = {
    "world": lambda unit: 2e4,
    "problem_sets": _problem_set,
    "token_shards": _shards,
    "checkpoint": _checkpoint,
    "generations": _generations,
    "verdicts": lambda unit: 32.0 * _problems(unit),
    "probe_queries": _queries,
    "activation_cache": _activations,
    "linear_probes": _linear,
    "v_probes": _v_probe,
    "probe_scores": _scores,
    "control": lambda unit: 4.0 * (parameters_of(unit.settings) or 1e9),
    "error_correlation": lambda unit: 1e5,
    "report": lambda unit: 3e6,
}


def _problems(unit: Unit) -> float:
    return float(sum(int(one.settings["num_problems"]) for one in unit.inputs.values() if one.stage == "problem_sets"))


def _num_queries(units: Iterable[Unit]) -> float:
    asked = [one for one in units if one.stage == "probe_queries"]
    tasks = [len(one.settings["tasks"]) if "tasks" in one.settings else 1 for one in asked]
    return float(sum(int(one.settings["per_problem"]) * count * _problems(one) for one, count in zip(asked, tasks, strict=True)))


def _model(unit: Unit) -> Mapping[str, Any]:
    """The ``model`` section of the checkpoint or control that a unit reads; empty where there is none, or a foreign one."""
    read = [one.settings.get("model") for one in unit.inputs.values() if one.stage in ("checkpoint", "control")]
    return next((model for model in read if model), {})
