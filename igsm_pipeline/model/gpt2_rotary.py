"""GPT2-l-h with rotary positions, as a stock ``GPTNeoXForCausalLM``.

``build`` makes a model with fresh weights, ``save`` writes a folder that plain ``AutoModelForCausalLM.from_pretrained`` loads,
``load`` reads such a folder (or that of any other causal model) and checks it. Nothing is pickled.

Source: the architecture (arXiv:2407.20311, app. F) and GPT-2's initialisation: N(0, 0.02), projections into the residual stream
divided by sqrt(2 l), biases 0. Ours: GPT-NeoX without parallel residuals is that architecture, and loads everywhere.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedModel
from transformers.activations import NewGELUActivation

from igsm_pipeline import seeding
from igsm_pipeline.errors import BadCheckpoint
from igsm_pipeline.model.settings import CONTEXT, ModelSettings
from igsm_pipeline.store import write_atomically

CONFIG = "config.json"
_ARCHITECTURE = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "rope_parameters",
    "use_parallel_residual",
    "tie_word_embeddings",
)
"""What two models must have in common for the weights of one to mean the same in the other."""
SHARPNESS = 12.0
"""Ours: of offset heads; their biases alone put 98 % of the attention at the offset, with the rotary settings of the built-in small."""


def build(
    settings: ModelSettings, vocab_size: int, context: int, seed: int, *, bos: int | None = None, eos: int | None = None, stream: str = "model.init"
) -> GPTNeoXForCausalLM:
    """Build a model with fresh fp32 weights on the CPU, in training mode.

    Args:
        settings: layers, heads and so on; ``path`` is not read here.
        vocab_size: rows of the (tied) embedding.
        context: longest sequence the configuration promises.
        seed: decides the weights; they are the same on any device and with any version of torch's layers.
        bos: id that opens a document, for the configuration.
        eos: id that ends it.
        stream: name of the random stream; streams are independent.
    """
    model = GPTNeoXForCausalLM(configuration(settings, vocab_size, context, bos, eos))
    initialise(model, seed, stream)
    for layer, head, offset in settings.offset_heads:
        _attend_to_offset(model, layer - 1, head - 1, offset)
    check_rotary(model)
    return model


def configuration(settings: ModelSettings, vocab_size: int, context: int = CONTEXT, bos: int | None = None, eos: int | None = None) -> GPTNeoXConfig:
    """The configuration of the model that ``build`` makes; arguments as there."""
    return GPTNeoXConfig(
        vocab_size=vocab_size,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.mlp_ratio * settings.width,
        hidden_act="gelu_new",
        attention_dropout=settings.dropout,
        hidden_dropout=settings.dropout,
        max_position_embeddings=context,
        initializer_range=settings.initializer_range,
        use_parallel_residual=False,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": settings.rope_theta, "partial_rotary_factor": settings.partial_rotary_factor},
        bos_token_id=bos,
        eos_token_id=eos,
        pad_token_id=eos,
        attn_implementation="sdpa",
    )


@torch.no_grad()
def initialise(model: GPTNeoXForCausalLM, seed: int, stream: str) -> None:
    """Draw a model's weights anew, in place, by GPT-2's initialisation; they depend on its configuration, the seed and the stream."""
    config = model.config
    generator = torch.Generator().manual_seed(seeding.torch_seed(seed, stream))
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight") or "layernorm.weight" in name:
            parameter.fill_(1.0)
        elif parameter.ndim == 1:
            parameter.zero_()
        else:
            residual = name.endswith(("attention.dense.weight", "mlp.dense_4h_to_h.weight"))
            std = config.initializer_range / (math.sqrt(2 * config.num_hidden_layers) if residual else 1)
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)


@torch.no_grad()
def _attend_to_offset(model: GPTNeoXForCausalLM, layer: int, head: int, offset: int) -> None:
    """Give a head biases of queries and keys by which it reads what stands ``offset`` tokens before; it may learn otherwise.

    Ours. The biases give a distance d the score SHARPNESS cos((d - offset) f), summed over the rotary frequencies f: the highest to d = offset. Drawn
    weights move it a little.
    """
    config, attention = model.config, model.gpt_neox.layers[layer].attention
    width = config.hidden_size // config.num_attention_heads
    frequencies = rotary_frequencies(width, config.rope_parameters["partial_rotary_factor"], config.rope_parameters["rope_theta"])
    size, half = math.sqrt(SHARPNESS * math.sqrt(width)), len(frequencies)
    queries, keys = attention.query_key_value.bias.view(config.num_attention_heads, 3, width)[head, :2]
    queries[:half], queries[half : 2 * half] = size * torch.cos(offset * frequencies), -size * torch.sin(offset * frequencies)
    keys[:half], keys[half : 2 * half] = size, 0.0


def rotary_frequencies(head_width: int, partial_rotary_factor: float, theta: float) -> Tensor:
    """The frequencies of rotary positions: theta^(-2 i / r) for i < r / 2; r is the number of rotated dimensions of a head. Float32, (r / 2,)."""
    rotated = int(head_width * partial_rotary_factor)
    return torch.tensor([theta ** (-2 * i / rotated) for i in range(rotated // 2)], dtype=torch.float64).float()


def check_rotary(model: PreTrainedModel) -> None:
    """Check that every rotary buffer of a GPT-NeoX model has the formula's values; other architectures are not checked.

    Raises:
        BadCheckpoint: a buffer has other values; the model would read positions wrongly without any error.
    """
    config = model.config
    if config.model_type != "gpt_neox" or config.rope_parameters["rope_type"] != "default":
        return
    wanted = rotary_frequencies(
        config.hidden_size // config.num_attention_heads, config.rope_parameters["partial_rotary_factor"], config.rope_parameters["rope_theta"]
    )
    found = [(name, buffer) for name, buffer in model.named_buffers() if name.endswith("inv_freq")]
    for name, buffer in found:
        if buffer.shape != wanted.shape or not torch.allclose(buffer.float().cpu(), wanted, rtol=1e-5, atol=0):
            raise BadCheckpoint(
                name, "must equal the rotary formula", buffer.tolist()[:4], "load the model through igsm_pipeline.model.gpt2_rotary.load"
            )
    if not found:
        raise BadCheckpoint("inv_freq", "must be a buffer of the model", "none", "use transformers >= 5.17")


def save(model: PreTrainedModel, folder: Path) -> None:
    """Write config.json, generation_config.json and model.safetensors into an existing or new folder.

    The configuration names its rotary settings twice: for transformers 5, and under older names (see ``legacy_keys``).
    """
    model.save_pretrained(folder, safe_serialization=True)
    path = folder / CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    write_atomically(path, (json.dumps(config | legacy_keys(config), indent=2, sort_keys=True) + "\n").encode())


def legacy_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """The rotary settings of a config.json under the names of transformers 4 and of vLLM, to be added beside ``rope_parameters``.

    Ours: transformers 4 ignores ``rope_parameters``, takes its defaults and writes nonsense; transformers 5 ignores these keys.

    Args:
        config: the parsed config.json.

    Returns:
        Keys to add; none if ``rope_parameters`` is missing or differs between kinds of layers, which the older names cannot express.
    """
    rope = config.get("rope_parameters")
    if not isinstance(rope, Mapping) or "rope_theta" not in rope:
        return {}
    keys = {name: rope[name] for name in ("rope_theta", "partial_rotary_factor") if name in rope}
    if config.get("model_type") == "gpt_neox":
        names = {"rope_theta": "rotary_emb_base", "partial_rotary_factor": "rotary_pct"}
        keys |= {names[name]: value for name, value in keys.items()}
    scaling = {name: value for name, value in rope.items() if name not in ("rope_theta", "partial_rotary_factor")}
    return keys | ({"rope_scaling": scaling} if scaling.get("rope_type", "default") != "default" else {})


def load(folder: Path, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Load a causal model from a folder, in evaluation mode, with SDPA attention. Weights come from safetensors only; no code of the folder is run.

    Raises:
        BadCheckpoint: the folder is not a causal model, misses weights, or its rotary buffers are wrong.
    """
    if not (folder / CONFIG).is_file():
        raise BadCheckpoint(f"checkpoint {folder}", "must hold config.json", "no such file", "name the folder of a finished checkpoint")
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            attn_implementation="sdpa",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # transformers raises many kinds; each means the folder is no usable model
        raise BadCheckpoint(
            f"checkpoint {folder}", "must load as a causal language model", f"{type(error).__name__}: {error}", "rebuild it"
        ) from error
    missing = sorted(report["missing_keys"]) or sorted(str(key) for key in report["mismatched_keys"])
    if missing:
        raise BadCheckpoint(f"checkpoint {folder}", "must hold every weight of its architecture", missing[:3], "rebuild it")
    check_rotary(model)
    return model.to(device).eval()


@torch.no_grad()
def start_from(model: GPTNeoXForCausalLM, folder: Path, *, new_ids: int = 0) -> None:
    """Give a model the weights of a folder, in place: a training that goes on where another one ended.

    A model with more layers than the folder computes at first what the folder's does: its new layers lie evenly between the others, keep the
    weights that were drawn for them, and write nothing until they are trained (their projections into the residual stream are 0).

    Ours: growing in depth. Source: for layers that begin as the identity, Chen et al. 2016 (arXiv:1511.05641).

    Args:
        model: a model of ``build``.
        folder: a checkpoint or a published model of the same architecture, with as many layers or fewer, and the same number of token ids.
        new_ids: so many of the model's last ids may be unknown to the folder; their embeddings stay as they were drawn.

    Raises:
        BadCheckpoint: the folder holds no usable model, or one of another architecture; names the first setting that differs.
    """
    places = check_start(model.config, folder, new_ids=new_ids)
    own, start = model.state_dict(), load(folder)
    for place in set(range(model.config.num_hidden_layers)) - set(places):
        for projection in ("attention.dense", "mlp.dense_4h_to_h"):
            own[f"gpt_neox.layers.{place}.{projection}.weight"].zero_()
    for name, values in start.state_dict().items():
        head, layers, rest = name.partition(".layers.")
        number, _, weight = rest.partition(".")
        own[f"{head}.layers.{places[int(number)]}.{weight}" if layers else name][: len(values)].copy_(values)


def kept_layers(old: int, new: int) -> list[int]:
    """Where the layers of a model go in one of as many or more layers: the new ones follow each group of old ones evenly, the last one at the end."""
    fresh = {(number + 1) * new // (new - old) - 1 for number in range(new - old)}
    return [place for place in range(new) if place not in fresh]


def check_start(config: GPTNeoXConfig, folder: Path, *, new_ids: int = 0) -> list[int]:
    """Refuse a folder of weights for a model of another architecture, or with fewer layers. Reads only its config.json.

    Args:
        config: of the model.
        folder: the weights.
        new_ids: as for ``start_from``.

    Returns:
        The layers of the model that the weights fill, counted from 0.

    Raises:
        BadCheckpoint: names the first setting that differs.
    """
    path = folder / CONFIG
    try:
        found = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False).to_dict()
    except Exception as error:  # transformers raises many kinds; each means the folder is no usable model
        raise BadCheckpoint(
            f"training.start {path}", "must be a model's config.json", f"{type(error).__name__}: {error}", "name a checkpoint folder"
        ) from error
    wanted = config.to_dict()
    for name in _ARCHITECTURE:
        value = found.get(name)
        fewer = name == "vocab_size" and value == wanted[name] - new_ids
        grown = name == "num_hidden_layers" and isinstance(value, int) and 0 < value <= wanted[name]
        if value != wanted[name] and not fewer and not grown:
            rule = f"must be the member's own, {wanted[name]}" + (", or less" if name == "num_hidden_layers" else "")
            way_out = "give the member the model and tokens of these weights, or leave training.start out"
            raise BadCheckpoint(f"training.start {path}: {name}", rule, value, way_out)
    return kept_layers(found["num_hidden_layers"], wanted["num_hidden_layers"])


def fuse_activations(model: PreTrainedModel) -> None:
    """Replace the composite ``gelu_new`` modules, in place, by torch's fused tanh GELU: the same function to rounding, several times cheaper.

    The configuration, the weights and what ``save`` writes are unchanged.
    """
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(module, name, nn.GELU(approximate="tanh"))
