"""The stage ``probe_queries``: one task's draws over one problem set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from igsm_pipeline.problems import read_problems
from igsm_pipeline.queries.draw import QUERY_SCHEMA, draw_queries
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.store import Writing
from igsm_pipeline.world import load_world
from igsm_pipeline.world.stage import WORLD_FILE

STAGE = "probe_queries"
VERSION = 1
QUERIES = "queries.parquet"


def write_queries(settings: QuerySettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write queries.parquet for the inputs ``world`` and ``problems``; counts queries, problems and positive labels."""
    batch = read_problems(inputs["problems"], load_world(inputs["world"] / WORLD_FILE), settings.family.modulus)
    rows, positives = 0, 0
    temporary = writing.folder / (QUERIES + ".tmp")
    with pq.ParquetWriter(temporary, QUERY_SCHEMA, compression="zstd") as writer:
        for table in draw_queries(batch, settings):
            writer.write_table(table)
            rows += len(table)
            labels = table.column("label").to_numpy()
            positives += int((labels < settings.family.modulus).sum() if settings.task == "value" else labels.sum())
    temporary.replace(writing.folder / QUERIES)
    writing.counts.update(queries=rows, problems=len(batch), positives=positives)


def read_queries(folder: Path) -> pa.Table:
    """The queries of a finished unit, in ``QUERY_SCHEMA``."""
    return pq.read_table(folder / QUERIES, schema=QUERY_SCHEMA)
