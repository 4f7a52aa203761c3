"""The stage ``linear_probes``: one task, every cached layer, the trained model and its random control."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from igsm_pipeline.errors import StageFailed
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.probes.inputs import DISTANCES, METRICS, PREDICTIONS, PROBES, TRAIN, folder_of, make_predictions, parts_of
from igsm_pipeline.probes.linear import fit_probe
from igsm_pipeline.probes.metrics import KEY_COLUMNS, Majority, num_classes_of, score_distances, score_predictions
from igsm_pipeline.probes.settings import LinearProbeSettings
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.queries.stage import read_queries
from igsm_pipeline.store import Writing

STAGE = "linear_probes"
VERSION = 1
ARMS: Mapping[str, str] = {"activations": "linear", "control": "linear_random"}
_LAYER = re.compile(r"layer_(\d+)")


def write_linear_probes(settings: LinearProbeSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write probes.safetensors (``PROBE.layer_K.weight`` and ``.bias``), predictions.parquet, metrics.parquet and distances.parquet.

    Args:
        settings: what to fit.
        inputs: ``queries:PART`` and ``activations:PART``, and, where there is a control, ``control:PART``; PART is ``probe_train`` and each slice.
        writing: where the files go.

    Raises:
        StageFailed: there are no training queries, or a cache holds other queries than its queries table.
    """
    queries = {part: read_queries(folder_of(inputs, "queries", part)) for part in parts_of(inputs, "queries")}
    training = queries.pop(TRAIN)
    if not len(training):
        raise StageFailed("linear_probes: there must be training queries, got none; draw more problems for the probes")
    task, candidates = training["task"][0].as_py(), training["candidates"][0].as_py()
    labels = training["label"].to_numpy().astype(np.int64)
    num_classes = num_classes_of(task, settings.modulus)
    device = pick_device(settings.device)
    tensors: dict[str, Tensor] = {}
    predictions: list[pa.Table] = []
    fits = [(kind, layer) for kind in ARMS if f"{kind}:{TRAIN}" in inputs for layer in layers_of(folder_of(inputs, kind, TRAIN))]
    for kind, layer in tqdm(fits, desc=f"linear probes {task}", unit="fit"):
        states = read_layer(folder_of(inputs, kind, TRAIN), layer, training).to(device)
        probe = fit_probe(states, torch.from_numpy(labels), num_classes, l2=settings.l2, max_iterations=settings.max_iterations)
        tensors |= probe.tensors(f"{ARMS[kind]}.layer_{layer}")
        for part, asked in queries.items():
            said = probe.predict(read_layer(folder_of(inputs, kind, part), layer, asked))
            predictions.append(make_predictions(asked, *said, probe=ARMS[kind], layer=layer, part=part))
    table = pa.concat_tables(predictions)
    scored = score_predictions(
        table,
        modulus=settings.modulus,
        candidates=candidates,
        majority={task: Majority.of(labels, num_classes)},
        seed=settings.seed,
        num_resamples=settings.num_resamples,
    )
    save_file(tensors, writing.folder / f"{PROBES}.tmp")
    (writing.folder / f"{PROBES}.tmp").replace(writing.folder / PROBES)
    write_parquet(table, writing.folder / PREDICTIONS)
    write_parquet(scored, writing.folder / METRICS)
    write_parquet(score_distances(table, seed=settings.seed, num_resamples=settings.num_resamples), writing.folder / DISTANCES)
    writing.counts.update(task=task, probes=len(fits), training_queries=len(labels), predictions=len(table))


def layers_of(cache: Path) -> list[int]:
    """The layers that an activation cache holds, rising."""
    names = pq.read_schema(_files(cache)[0]).names
    return sorted(int(match[1]) for match in map(_LAYER.fullmatch, names) if match)


def read_layer(cache: Path, layer: int, queries: pa.Table) -> Tensor:
    """One layer's states of an activation cache, float32, shape (num_queries, d_model), in the order of the queries.

    Raises:
        StageFailed: the cache holds other queries.
    """
    name = f"layer_{layer}"
    table = pa.concat_tables(pq.read_table(path, columns=[*KEY_COLUMNS, name]) for path in _files(cache))
    if not table.select(KEY_COLUMNS).equals(queries.select(KEY_COLUMNS).cast(table.select(KEY_COLUMNS).schema)):
        raise StageFailed(f"linear_probes: {cache} must hold the states of its queries in their order, got others; rebuild the activation cache")
    width = table.schema.field(name).type.list_size
    return torch.from_numpy(np.concatenate(list(_blocks(table[name]))).astype(np.float32).reshape(-1, width)) if len(table) else torch.zeros(0, width)


def _blocks(column: pa.ChunkedArray) -> Iterator[np.ndarray]:
    return (chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks)


def _files(cache: Path) -> list[Path]:
    files = sorted(cache.glob("activations-*.parquet"))
    if not files:
        raise StageFailed(f"linear_probes: {cache} must hold activations-*.parquet, got none; rebuild the activation cache")
    return files
