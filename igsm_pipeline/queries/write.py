"""The stage ``probe_queries``: every task's draws over one problem set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from igsm_pipeline.errors import NotFound
from igsm_pipeline.problems import read_problems
from igsm_pipeline.queries.draw import QUERY_SCHEMA, draw_queries
from igsm_pipeline.queries.settings import QuerySetSettings
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.store import Writing, written_whole
from igsm_pipeline.world import load_world


def write_queries(settings: QuerySetSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write queries-TASK.parquet for the inputs ``world`` and ``problems``; counts problems and, over all tasks, queries and positive labels."""
    batch = read_problems(inputs["problems"], load_world(inputs["world"]), settings.family.modulus).take(slice(settings.first))
    rows, positives = 0, 0
    for task in settings.tasks:
        path = queries_file(writing.folder, task)
        with written_whole(path) as temporary, pq.ParquetWriter(temporary, QUERY_SCHEMA, compression="zstd") as writer:
            for table in draw_queries(batch, settings.of(task)):
                writer.write_table(table)
                rows += len(table)
                positives += int(TASKS[task].positive(table.column("label").to_numpy(), settings.family.modulus).sum())
    writing.counts.update(queries=rows, problems=len(batch), positives=positives)


def queries_file(folder: Path, task: str) -> Path:
    """Where a unit keeps the queries of a task."""
    return folder / f"queries-{task}.parquet"


def read_queries(folder: Path, task: str) -> pa.Table:
    """A task's queries of a finished unit, in ``QUERY_SCHEMA``.

    Raises:
        NotFound: the unit did not ask for that task.
    """
    path = queries_file(folder, task)
    if not path.is_file():
        raise NotFound(f"no queries of the task {task!r} in {folder}: name it in probes.tasks and run the stage probe_queries again")
    return pq.read_table(path, schema=QUERY_SCHEMA)
