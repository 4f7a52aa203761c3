"""The dense map: what a trained V-probe says of every parameter at every step of a few problems."""

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
    """Every query of a task there is, over all candidates and positions, with what the probe says.

    Args:
        probe: trained for the task.
        model: the frozen model, on ``device``.
        documents: the problems; a few, since every parameter is asked at every step.
        settings: task and candidate set (``per_problem`` and the seed play no part).
        part: the slice that the problems begin.
        device: where to compute.
        max_tokens: padded tokens per pass.

    Returns:
        The columns of predictions.parquet and ``name``, the name of parameter A; sorted by the queries' key.
    """
    batch = documents.batch
    queries = list_queries(batch, settings)
    prediction, score = predict(probe, model, QueryTokens(batch, queries, documents, documents.table), device=device, max_tokens=max_tokens)
    said = make_predictions(queries, prediction, score, probe="v_probe", layer=None, part=part)
    problems = list(batch)
    codes = zip(queries["problem"].to_pylist(), queries["parameter"].to_pylist(), strict=True)
    names = [problems[row].name(parameter_of_code(batch.records[row], code)) for row, code in codes]
    return said.append_column("name", pa.array(names, pa.string()))
