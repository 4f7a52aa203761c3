"""What the stages of this room share: names of files, reading the inputs, rows of predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from igsm_pipeline.probes.scoring import FLAG_COLUMNS, KEY_COLUMNS
from igsm_pipeline.problems import read_problems
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.write import read_queries
from igsm_pipeline.stage import folder_of
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.world import load_world

PREDICTIONS, METRICS, DISTANCES, MENTAL_STATE = "predictions.parquet", "metrics.parquet", "distances.parquet", "mental_state.parquet"
BEYOND_TEXT = "beyond_text.parquet"
PROBES, SELECTION, LOSSES, CURVE = "probes.safetensors", "selection.parquet", "losses.parquet", "curve.parquet"


def read_tokens(
    family: FamilySettings, tokens: TokenSettings, inputs: Mapping[str, Path], model: Path, tasks: Iterable[str]
) -> dict[str, QueryTokens]:
    """Read the queries of some tasks over one problem set, as token sequences.

    Args:
        family: settings that the problems were drawn with.
        tokens: settings that the model's texts were tokenized with.
        inputs: folders by role; ``world``, ``problems`` and ``queries`` are read.
        model: folder of the model. Its own tokenizer is used if ``tokens`` ask for it.
        tasks: names of the tasks.

    Returns:
        Task -> queries.
    """
    world = load_world(inputs["world"])
    table = build_table(world, family.modulus, tokens, model)
    batch = read_problems(inputs["problems"], world, family.modulus)
    documents = GoldDocuments(batch, table, family.format)
    return {task: QueryTokens(batch, read_queries(inputs["queries"], task), documents, table) for task in tasks}


def read_part(
    family: FamilySettings, tokens: TokenSettings, inputs: Mapping[str, Path], part: str, model: Path, tasks: Iterable[str]
) -> dict[str, QueryTokens]:
    """``read_tokens`` for a stage that reads several problem sets, as ``problems:PART`` and ``queries:PART``."""
    own = {"world": inputs["world"], "problems": folder_of(inputs, "problems", part), "queries": folder_of(inputs, "queries", part)}
    return read_tokens(family, tokens, own, model, tasks)


def make_predictions(
    queries: pa.Table, prediction: NDArray[np.integer], score: NDArray[np.floating], *, probe: str, layer: int | None, part: str
) -> pa.Table:
    """Make the rows of predictions.parquet: the queries' keys, labels and flags, beside the answers of one probe.

    Args:
        queries: rows of a queries table.
        prediction: predicted classes, shape (num_queries,).
        score: probability of label 1, or of the predicted class where a task has more than two; shape (num_queries,).
        probe: "v_probe", "random", "linear" or "linear_random".
        layer: the layer that a linear probe reads; None for V-probes.
        part: name of the slice.
    """
    names = [*KEY_COLUMNS, "label", *FLAG_COLUMNS, *(name for name in ("known",) if name in queries.column_names)]
    one = pa.array(np.zeros(len(queries), dtype=np.int8))
    constants = {"probe": pa.array([probe], pa.string()), "layer": pa.array([layer], pa.int32()), "slice": pa.array([part], pa.string())}
    table = queries.select(names)
    table = table.append_column("prediction", pa.array(prediction, pa.int16())).append_column("score", pa.array(score, pa.float32()))
    for name, value in constants.items():
        table = table.append_column(name, value.take(one))
    return table
