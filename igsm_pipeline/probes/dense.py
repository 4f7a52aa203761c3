"""The dense map: the answers of a trained V-probe about every parameter, at every step of a few problems."""

from __future__ import annotations

import pyarrow as pa
import torch
from transformers import PreTrainedModel

from igsm_pipeline.probes.files import make_predictions
from igsm_pipeline.probes.v_probe import VProbe, predict
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import list_queries
from igsm_pipeline.queries.facts import parameter_of_code
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.settings import QuerySettings


def map_mental_state(
    probe: VProbe, model: PreTrainedModel, documents: GoldDocuments, settings: QuerySettings, *, part: str, device: torch.device, max_tokens: int
) -> pa.Table:
    """Ask a probe every possible query of its task about some problems: all candidates at all positions.

    Args:
        probe: a probe that was trained for the task.
        model: the frozen model, on ``device``.
        documents: the problems. Take a few: each parameter is asked about at each step.
        settings: they give the task and the candidate set; ``per_problem`` and the seed are not used.
        part: name of the slice that the problems come from.
        device: where to compute.
        max_tokens: most tokens per forward pass, padding included.

    Returns:
        The columns of predictions.parquet, and ``name``, the name of parameter A. Rows are sorted by the queries' key.
    """
    batch = documents.batch
    queries = list_queries(batch, settings)
    prediction, score = predict(probe, model, QueryTokens(batch, queries, documents, documents.table), device=device, max_tokens=max_tokens)
    said = make_predictions(queries, prediction, score, probe="v_probe", layer=None, part=part)
    problems = list(batch)
    codes = zip(queries["problem"].to_pylist(), queries["parameter"].to_pylist(), strict=True)
    names = [problems[row].name(parameter_of_code(batch.records[row], code)) for row, code in codes]
    return said.append_column("name", pa.array(names, pa.string()))
