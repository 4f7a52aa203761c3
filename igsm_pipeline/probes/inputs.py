"""How probe stages name their inputs, and the tables that they share.

A role is ``KIND:PART``: KIND is ``queries``, ``activations`` (states of the trained model) or ``control`` (states of the randomly initialised one),
PART is ``probe_train`` or the name of an evaluation slice ("queries:op<=max").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from igsm_pipeline.probes.metrics import FLAG_COLUMNS, KEY_COLUMNS

TRAIN = "probe_train"
PREDICTIONS, METRICS, DISTANCES, PROBES = "predictions.parquet", "metrics.parquet", "distances.parquet", "probes.safetensors"


def parts_of(inputs: Iterable[str], kind: str) -> list[str]:
    """The parts that roles of one kind name, ``probe_train`` first, the slices in alphabetical order."""
    parts = sorted(role.partition(":")[2] for role in inputs if role.startswith(kind + ":"))
    return sorted(parts, key=lambda part: part != TRAIN)


def folder_of(inputs: Mapping[str, Path], kind: str, part: str) -> Path:
    """The folder behind ``KIND:PART``.

    Raises:
        KeyError: the stage was not given it.
    """
    return inputs[f"{kind}:{part}"]


def make_predictions(
    queries: pa.Table, prediction: NDArray[np.integer], score: NDArray[np.floating], *, probe: str, layer: int | None, part: str
) -> pa.Table:
    """Rows of predictions.parquet: the queries' keys, label and flags with what a probe said of them.

    Args:
        queries: rows of a queries table.
        prediction, score: shape (num_queries,).
        probe: "v_probe", "random", "linear" or "linear_random".
        layer: null for V-probes.
        part: the slice.
    """
    names = [*KEY_COLUMNS, "label", *FLAG_COLUMNS, *(name for name in ("known",) if name in queries.column_names)]
    one = pa.array(np.zeros(len(queries), dtype=np.int8))
    constants = {"probe": pa.array([probe], pa.string()), "layer": pa.array([layer], pa.int32()), "slice": pa.array([part], pa.string())}
    table = queries.select(names)
    table = table.append_column("prediction", pa.array(prediction, pa.int16())).append_column("score", pa.array(score, pa.float32()))
    for name, value in constants.items():
        table = table.append_column(name, value.take(one))
    return table
