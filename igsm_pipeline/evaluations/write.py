"""The stage ``llm_evaluations``: a folder of Inspect's logs becomes two tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from igsm_pipeline.errors import BadInput
from igsm_pipeline.evaluations.logs import TASK, Row, answers, read_log
from igsm_pipeline.evaluations.settings import FIELD, LogSettings
from igsm_pipeline.evaluations.shares import shares_by_op
from igsm_pipeline.evaluations.stage import ANSWERS, BY_OP
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.store import Writing


def write_evaluations(settings: LogSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write answers.parquet and by_op.parquet; logs of other tasks and of runs that did not end are left out and counted.

    Args:
        settings: which logs.
        inputs: none.
        writing: where the files go.

    Raises:
        BadSettings: the folder is not there, or its logs have changed since they were planned.
        BadInput: a log cannot be read, or none is of a run of the task that ended.
    """
    rows, counts = read_folder(settings.files())
    write_tables(rows, writing.folder)
    writing.counts.update(counts)


def read_folder(paths: Sequence[Path]) -> tuple[list[Row], dict[str, int]]:
    """The answers of some logs, and how many logs were read (``logs``) and left out (``other_tasks``, ``unfinished``), and ``answers``.

    The order of the rows does not depend on the files' names. A run that stands in several logs, such as one that was converted, counts once.

    Raises:
        NotFound, BadInput: see ``read_log`` and ``answers``; or no log is left.
    """
    logs = [read_log(path) for path in paths]
    ours = [log for log in logs if log.is_ours]
    ended = {log.run: log for log in ours if log.ended}
    if not ended:
        got = f"{len(logs) - len(ours)} of other tasks, {len(ours)} unfinished"
        raise BadInput(FIELD, f"must hold a log of the task {TASK} that ended", got, "run `inspect eval igsm_pipeline/igsm` to its end")
    rows = [row for _, log in sorted(ended.items()) for row in answers(log)]
    if not rows:
        raise BadInput(FIELD, "must hold answers that were scored", "none", "run `inspect eval` with its scorers")
    rows.sort(key=lambda row: (row["model"], str(row["style"]), row["run"], row["question"]))
    unfinished = sum(not log.ended for log in ours)
    return rows, {"answers": len(rows), "logs": len(ended), "other_tasks": len(logs) - len(ours), "unfinished": unfinished}


def write_tables(rows: Sequence[Row], folder: Path) -> list[Row]:
    """Write the two tables of some answers; gives back the rows of the second."""
    shares = shares_by_op(rows)
    write_parquet(pa.Table.from_pylist(list(rows), ANSWERS.schema()), folder / ANSWERS.files)
    write_parquet(pa.Table.from_pylist(shares, BY_OP.schema()), folder / BY_OP.files)
    return shares
