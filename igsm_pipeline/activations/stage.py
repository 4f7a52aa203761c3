"""The stage ``activation_cache``: the states that linear probes read, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from tqdm import tqdm
from transformers import PreTrainedModel

from igsm_pipeline.activations.batches import split_into_passes
from igsm_pipeline.activations.forward import SequenceBatch, freeze, layer_states, num_layers_of
from igsm_pipeline.activations.settings import ActivationSettings
from igsm_pipeline.model.control import build_control
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.problems import read_problems
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.stage import read_queries
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import build_table
from igsm_pipeline.world import load_world
from igsm_pipeline.world.stage import WORLD_FILE

STAGE = "activation_cache"
VERSION = 1
KEYS = ("problem", "task", "position", "parameter", "parameter_b")


def write_activations(settings: ActivationSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write activations-*.parquet: the queries' keys and, per layer, a column ``layer_K`` of float16 lists of length d_model.

    Args:
        settings: which states.
        inputs: ``world``, ``problems``, ``queries``, ``checkpoint``.
        writing: where the files go; files of an earlier attempt are kept.
    """
    device = pick_device(settings.device)
    world = load_world(inputs["world"] / WORLD_FILE)
    batch = read_problems(inputs["problems"], world, settings.family.modulus)
    table = build_table(world, settings.family.modulus, settings.tokens, inputs["checkpoint"])
    queries = read_queries(inputs["queries"])
    model = load(inputs["checkpoint"]) if settings.arm == "trained" else build_control(inputs["checkpoint"], settings.seed)
    model = freeze(model).to(device)
    layers = settings.layers if settings.layers is not None else tuple(range(num_layers_of(model) + 1))
    documents = GoldDocuments(batch, table, settings.family.format)
    with tqdm(total=len(queries), desc=f"states {settings.arm}", unit="query", mininterval=1.0) as bar:
        for number, start in enumerate(range(0, max(1, len(queries)), settings.queries_per_file)):
            path = writing.folder / f"activations-{number:05d}.parquet"
            part = queries.slice(start, settings.queries_per_file)
            if not path.exists():
                states = read_states(model, QueryTokens(batch, part, documents, table), layers, device, settings.max_tokens)
                _write(part, states, path)
            bar.update(len(part))
    writing.counts.update(queries=len(queries), layers=len(layers), d_model=int(model.config.hidden_size))


def read_states(
    model: PreTrainedModel, tokens: QueryTokens, layers: tuple[int, ...], device: torch.device, max_tokens: int
) -> dict[int, NDArray[np.float16]]:
    """The states at [END] of every query, per layer, shape (num_queries, d_model), in the order of the queries."""
    states = {layer: np.zeros((len(tokens), int(model.config.hidden_size)), np.float16) for layer in layers}
    if not len(tokens):
        return states
    for rows in split_into_passes(tokens, np.arange(len(tokens.problems)), max_tokens):
        batch = SequenceBatch.of(tokens.pack(rows), device)
        for layer, found in layer_states(model, batch, layers).items():
            states[layer][rows] = found[batch.rows, batch.ends].half().cpu().numpy()
    return states


def _write(queries: pa.Table, states: Mapping[int, NDArray[np.float16]], path: Path) -> None:
    table = queries.select(list(KEYS)).combine_chunks()
    for layer, values in states.items():
        column = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
        table = table.append_column(f"layer_{layer}", column)
    write_parquet(table, path)
