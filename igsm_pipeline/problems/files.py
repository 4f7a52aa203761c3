"""Problem sets on disk: the columns of ``RECORD`` as Parquet, one file per run of blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from igsm_pipeline.errors import BadProblem
from igsm_pipeline.problems.record import RECORD, ProblemBatch, Records
from igsm_pipeline.store import written_whole
from igsm_pipeline.world import World, world_of


def to_table(records: Records) -> pa.Table:
    """One row per problem; array fields become fixed-size lists (row-major)."""
    columns: dict[str, Any] = {}
    for name, (dtype, *_) in _fields().items():
        values = np.ascontiguousarray(records[name])
        if dtype.subdtype is None:
            columns[name] = pa.array(values)
        else:
            size = int(np.prod(dtype.shape))
            columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), size)
    return pa.table(columns)


def from_table(table: pa.Table) -> Records:
    """Inverse of ``to_table``.

    Raises:
        BadProblem: a column is missing or has another shape.
    """
    records = np.zeros(table.num_rows, RECORD)
    for name in _fields():
        records[name] = values_of(table, name)
    return records


def values_of(table: pa.Table, name: str) -> NDArray[Any]:
    """One field of ``RECORD`` from its column; raises what ``from_table`` raises."""
    dtype = _fields()[name][0]
    if name not in table.column_names:
        raise BadProblem(f"problem set column {name}", "must be present", table.column_names, "make the problem set again")
    column = table.column(name).combine_chunks()
    if dtype.subdtype is None:
        return np.asarray(column.to_numpy(zero_copy_only=False))
    size = int(np.prod(dtype.shape))
    if not pa.types.is_fixed_size_list(column.type) or column.type.list_size != size:
        raise BadProblem(f"problem set column {name}", f"must be lists of {size}", str(column.type), "make the problem set again")
    return np.asarray(column.flatten().to_numpy(zero_copy_only=False).reshape(table.num_rows, *dtype.shape))


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a whole Parquet file (zstd)."""
    with written_whole(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def problem_files(folder: Path) -> list[Path]:
    """The Parquet files of a problem set, in order.

    Raises:
        BadProblem: there are none.
    """
    paths = sorted(folder.glob("problems-*.parquet"))
    if not paths:
        raise BadProblem(str(folder), "must hold problems-*.parquet", [], "run the stage problem_sets")
    return paths


def read_problems(folder: str | Path, world: World | str | Path, modulus: int) -> ProblemBatch:
    """A whole problem set in memory (about 0.6 kB a problem); ``world`` may be its name or file."""
    return ProblemBatch(read_records(Path(folder)), world_of(world), modulus)


def read_records(folder: Path) -> Records:
    """All records of a problem set; raises what ``problem_files`` and ``from_table`` raise."""
    return np.concatenate([from_table(pq.read_table(path)) for path in problem_files(folder)])


def _fields() -> dict[str, Any]:
    assert RECORD.fields is not None
    return dict(RECORD.fields)
