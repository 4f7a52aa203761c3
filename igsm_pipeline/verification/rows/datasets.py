"""Reads a data set in memory: lists, columns, and tables of pandas, Polars, Arrow and Hugging Face; none of these is imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from igsm_pipeline.errors import BadInput
from igsm_pipeline.verification.rows.columns import Columns

_WAY_OUT = "give a data set, a list of mappings or a mapping of lists"


def rows_of(data: object, columns: Columns) -> Iterable[object]:
    """The rows of a data set.

    Args:
        data: an iterable of rows (a Hugging Face ``Dataset`` is one), a mapping of columns, a pandas or Polars frame, or an Arrow table or reader.
        columns: decides which columns are needed.

    Raises:
        BadInput: it is none of these, or a mapping of whole data sets.
    """
    table: Any = data.collect() if hasattr(data, "collect_schema") and hasattr(data, "collect") else data
    rows: Iterable[object]
    if hasattr(table, "to_batches"):
        rows = _rows_of_batches(table.to_batches(), columns)
    elif hasattr(table, "schema") and hasattr(table, "read_next_batch"):
        rows = _rows_of_batches(table, columns)
    elif hasattr(table, "schema") and hasattr(table, "to_pylist"):
        rows = _rows_of_batches([table], columns)
    elif hasattr(table, "iter_rows"):
        wanted = [name for name in table.columns if columns.wanted(name)]
        rows = (table.select(wanted) if wanted else table).iter_rows(named=True)
    elif hasattr(table, "itertuples") and hasattr(table, "columns"):
        rows = _rows_of_columns({str(name): list(table[name]) for name in table.columns}, columns)
    elif isinstance(table, Mapping):
        rows = _rows_of_columns(table, columns)
    elif isinstance(table, Iterable) and not isinstance(table, str | bytes):
        rows = table
    else:
        raise BadInput("data", "must be rows or columns", type(data).__name__, _WAY_OUT)
    return rows


def _rows_of_batches(batches: Iterable[Any], columns: Columns) -> Iterator[object]:
    for batch in batches:
        wanted = [name for name in batch.schema.names if columns.wanted(name)]
        yield from (batch.select(wanted) if wanted else batch).to_pylist()


def _rows_of_columns(data: Mapping[Any, Any], columns: Columns) -> Iterator[Mapping[str, Any]]:
    present = [name for name in data if columns.wanted(str(name))]
    if not present or not all(hasattr(data[name], "__len__") and hasattr(data[name], "__getitem__") for name in present):
        raise BadInput("data", "must have columns problem and solution", list(data)[:8], "give one split, or name the columns")
    if any(isinstance(data[name], str | bytes | Mapping) for name in present):
        raise BadInput("data", "must have columns of many values", list(data)[:8], "give one split, or a list of rows")
    if len(sizes := {len(data[name]) for name in present}) > 1:
        raise BadInput("data", "must have columns of one length", sorted(sizes), "give every row a value, or None")
    return (dict(zip(present, values, strict=True)) for values in zip(*(data[name] for name in present), strict=True))
