"""What settings say of sizes and arithmetic: networks, tokens of a problem, problems and queries behind a unit.

Stages declare their disk and their work with these. Sizes for the disk are meant to be reached and not far passed: constants were read off finished
stores of the families mini, small and toy, and rounded up. Arithmetic counts floating-point operations of matrix products.

Ours: all of it; good to a factor of two or three.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from igsm_pipeline.store import Unit

VOCABULARY = {"gpt2": 50_257, "bpe": 2_200, "phrase": 600}
"""Ids of a token table: GPT-2's own, compact ones by segmentation."""
STATE_COPIES, STATES = 3, 2
"""A resumable state holds the weights and AdamW's two moments; two are kept."""
FOREIGN_WIDTH, FOREIGN_LAYERS = 1024, 24
"""Taken for a model whose folder does not say its size, either."""
_MODELS = ("checkpoint", "control")


@dataclass(frozen=True)
class Network:
    """The size of a network.

    Attributes:
        layers: transformer layers.
        width: d_model.
        parameters: all of them.
        bytes: of its weights on the disk.
    """

    layers: int
    width: int
    parameters: int
    bytes: int


def parameters_of(settings: Mapping[str, Any]) -> int:
    """Parameters of the network that settings with ``model`` and ``tokens`` sections describe; 0 where they describe none."""
    model, tokens = settings.get("model") or {}, settings.get("tokens") or {}
    if not {"layers", "heads", "head_width"} <= model.keys():
        return 0
    width = int(model["heads"]) * int(model["head_width"])
    vocabulary = VOCABULARY["gpt2" if tokens.get("vocab") == "gpt2" else tokens.get("segmentation", "bpe")]
    return int(model["layers"]) * (12 * width * width + 13 * width) + vocabulary * width


def network_of(unit: Unit) -> Network:
    """The network of a checkpoint or control: as its settings say, or, of one's own model, as the folder of ``model.path`` says."""
    model = unit.settings.get("model") or {}
    parameters = parameters_of(unit.settings)
    if parameters:
        return Network(int(model["layers"]), int(model["heads"]) * int(model["head_width"]), parameters, 4 * parameters)
    return _read_network(Path((unit.runtime.get("model") or {}).get("path") or "."))


def _read_network(folder: Path) -> Network:
    """The size of the model in a folder, which is read anew each time: two short looks at the file system."""
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    try:
        config: Mapping[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = {}
    each = 2 if "16" in str(config.get("dtype") or config.get("torch_dtype")) else 4
    width = int(config.get("hidden_size") or config.get("n_embd") or FOREIGN_WIDTH)
    layers = int(config.get("num_hidden_layers") or config.get("n_layer") or FOREIGN_LAYERS)
    return Network(layers, width, size // each or 12 * layers * width * width, size or 4 * 12 * layers * width * width)


def network_behind(unit: Unit) -> Network:
    """The network of the checkpoint or control that a unit reads."""
    return next(network_of(one) for one in (*unit.inputs.values(), unit) if one.stage in _MODELS or one is unit)


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
    network = network_behind(unit)
    return network.width, network.layers + 1
