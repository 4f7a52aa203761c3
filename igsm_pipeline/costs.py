"""What settings say of sizes and arithmetic: networks, tokens of a problem, problems and queries behind a unit.

Stages declare their disk and their work with these. Sizes for the disk are meant to be reached and not far passed: constants were read off finished
stores of the families mini, small and toy, and rounded up. Arithmetic counts floating-point operations of matrix products.

Ours: all of it; good to a factor of two or three.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
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
TRAINING, PROBING, FORWARD, DECODING, FITTING = "training", "probing", "forward", "decoding", "fitting"
"""Kinds of arithmetic: forward and backward with all weights; with frozen weights; forward alone; token by token; linear probes."""
BACKWARD = 2.0
"""A backward pass costs as much as this many forward passes, half of it for the gradients of weights."""
TRAINING_PASS = 1 << 16
"""Tokens of a forward pass in training on a GPU."""
DECODED_TOGETHER = 512
"""Most prompts that are decoded together on a GPU; fewer where their keys and values would take more than its memory has room for."""
DECODING_BYTES = 32e9
"""Bytes of keys and values that decoding takes of a GPU of 80 GB at most: a larger batch is cut (``model.decoding.ROOM``)."""


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

    def forward(self, length: float, *, head: bool = False) -> float:
        """Operations of one token in a sequence of some length, forward; with ``head`` the vocabulary, too."""
        hidden = 12.0 * self.layers * self.width**2
        return 2 * (max(self.parameters, hidden) if head else hidden) + 4.0 * self.layers * self.width * length

    def kept(self, tokens: float, precision: str) -> float:
        """Bytes that a forward pass keeps for its backward pass: 20 numbers of two bytes (four in fp32) per layer, width and token, as torch counts
        them in fp32 where nothing is compiled (``training.counting``); no attention maps."""
        return tokens * self.layers * self.width * (40.0 if precision != "fp32" else 80.0)


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
    path = (unit.runtime.get("model") or {}).get("path")
    return _read_network(Path(path) if path else None)


def _read_network(folder: Path | None) -> Network:
    """The size of the model in a folder, which is read anew each time: two short looks at the file system."""
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder else 0
    config: dict[str, Any] = {}
    with suppress(OSError, ValueError):  # the loader says what is wrong with it
        config = json.loads((folder / "config.json").read_text(encoding="utf-8")) if folder else {}
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


def mean_op(settings: Mapping[str, Any]) -> float:
    """Operations of an average problem: of one op level that level; of the light law about a third of the largest."""
    if settings.get("op"):
        return float(settings["op"])
    family = settings["family"]
    return (float(family["op_max"]) + 1) / 2 if family["op_law"] == "uniform" else (float(family["op_max"]) + 1) / 3 + 0.2


def document_tokens(tokens: Mapping[str, Any], op: float) -> float:
    """Tokens of an average document of ``op`` operations. Read off 1,024 problems each of mini, small, med and hard; good to 10% there."""
    return 27.3 * op - 2.6 if tokens["segmentation"] == "phrase" else 47.0 * op + 98.0


def solution_share(tokens: Mapping[str, Any]) -> float:
    """The share of a document that the model writes; the rest is prompt."""
    return 0.5 if tokens["segmentation"] == "phrase" else 0.34


def window_fill(windows: Mapping[str, Any], document: float) -> float:
    """Real tokens over window: of single documents, of whole documents side by side (the last one that fits leaves a rest), or of a stream.

    Read off mini, small, med and hard at their windows: 42, 37, 74 and 75 percent; good to 3 points there. Best-fit windows of med and
    hard: 98 percent.
    """
    window = float(windows["window"])
    one = min(1.0, (document + 1) / window)
    return {"single": one, "stream": 1.0, "best_fit": max(one, 0.984)}.get(str(windows["alignment"]), max(one, 1 - 0.55 * document / window))


def query_tokens(tokens: Mapping[str, Any]) -> float:
    """Tokens of a query behind the document that it shares with others: markers and a name."""
    return 4.0 if tokens["segmentation"] == "phrase" else 11.0


def asked_problems(unit: Unit) -> float:
    """Problems of a query set that are asked about."""
    problems = problems_behind(unit)
    first = unit.settings.get("first")
    return problems if first is None else min(problems, float(first))


def queries_of(unit: Unit) -> list[Unit]:
    """The query sets that a unit reads."""
    return [one for one in unit.inputs.values() if one.stage == "probe_queries"]


def shared_length(unit: Unit, asked: Unit, tasks: float) -> float:
    """Tokens of a document with the queries of some tasks behind it."""
    document = next(mean_op(one.settings) for one in asked.inputs.values() if one.stage == "problem_sets")
    return document_tokens(unit.settings["tokens"], document) + tasks * int(asked.settings["per_problem"]) * query_tokens(unit.settings["tokens"])


def probe_steps(recipe: Mapping[str, Any]) -> int:
    """Steps that a V-probe's training takes, those of the starts that are given up among them; a recipe without ``starts`` has one."""
    steps = int(recipe["num_steps"])
    return steps + (int(recipe.get("starts", 1)) - 1) * min(int(recipe.get("start_steps", 0)), steps)


def problems_behind(unit: Unit) -> float:
    """Problems of the sets that a unit reads."""
    return float(sum(int(one.settings["num_problems"]) for one in unit.inputs.values() if one.stage == "problem_sets"))


def queries_behind(units: Iterable[Unit]) -> float:
    """Queries of those of the units that are query sets, as if every problem had as many candidates as may be drawn."""
    asked = [one for one in units if one.stage == "probe_queries"]
    return float(sum(int(one.settings["per_problem"]) * len(one.settings["tasks"]) * asked_problems(one) for one in asked))


def size_behind(unit: Unit) -> tuple[int, int]:
    """Width and layers, the embedding counted as one, of the checkpoint or control that a unit reads."""
    network = network_behind(unit)
    return network.width, network.layers + 1
