"""An activation cache on disk: its files, its keys, and reading the states of some queries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from igsm_pipeline.errors import StageFailed

QUERY_KEY = ("problem", "position", "parameter", "parameter_b")
"""Two states at [END] differ in at least one of these columns; all tasks share them."""
SENTENCE_KEY = ("problem", "position")
_LAYER = re.compile(r"layer_(\d+)")


def states_file(folder: Path, kind: Literal["queries", "sentences"] | str, number: int) -> Path:
    """The path of the number-th file of states at [END] (queries) or at sentence ends (sentences)."""
    return folder / f"{kind}-{number:05d}.parquet"


def query_keys(queries: pa.Table) -> NDArray[np.int64]:
    """``QUERY_KEY`` as one number per query with the same order, int64, (num_queries,)."""
    problem, position, first, second = (queries[name].to_numpy().astype(np.int64) for name in QUERY_KEY)
    keys: NDArray[np.int64] = problem << 31 | position << 16 | first << 8 | second
    return keys


def layers_of(cache: Path) -> list[int]:
    """The layers that an activation cache has, in ascending order.

    Raises:
        StageFailed: it has none.
    """
    names = pq.read_schema(_files(cache)[0]).names
    return sorted(int(match[1]) for match in map(_LAYER.fullmatch, names) if match)


class CachedStates:
    """The states at [END] in an activation cache.

    Args:
        cache: folder of a finished unit.

    Raises:
        StageFailed: it has no states.
    """

    def __init__(self, cache: Path) -> None:
        self.cache, self.layers = cache, layers_of(cache)
        self._keys = query_keys(pa.concat_tables(pq.read_table(path, columns=list(QUERY_KEY)) for path in _files(cache)))

    def rows_of(self, queries: pa.Table) -> NDArray[np.int64]:
        """The row of ``layer`` that belongs to each query, (num_queries,).

        Raises:
            StageFailed: the cache lacks a query's state.
        """
        return find_rows(self._keys, queries, str(self.cache))

    def layer(self, layer: int) -> NDArray[np.float32]:
        """All states of one layer, float32, (num_states, d_model)."""
        name = f"layer_{layer}"
        column = pa.concat_tables(pq.read_table(path, columns=[name]) for path in _files(self.cache))[name]
        return np.concatenate(list(_blocks(column))).astype(np.float32).reshape(-1, column.type.list_size)


def find_rows(keys: NDArray[np.int64], queries: pa.Table, where: str) -> NDArray[np.int64]:
    """The place of each query's key among rising keys, (num_queries,).

    Raises:
        StageFailed: a query's key is not there; ``where`` names what lacks it.
    """
    wanted = query_keys(queries)
    rows = np.searchsorted(keys, wanted)
    if len(wanted) and (not len(keys) or (keys[np.minimum(rows, len(keys) - 1)] != wanted).any()):
        raise StageFailed(f"{where} must hold the states of the queries that are asked, got others; rebuild the activation cache")
    return rows


def _blocks(column: pa.ChunkedArray) -> Iterator[NDArray[np.float16]]:
    yield np.empty(0, np.float16)
    yield from (chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks)


def _files(cache: Path) -> list[Path]:
    files = sorted(cache.glob("queries-*.parquet"))
    if not files:
        raise StageFailed(f"{cache} must hold queries-*.parquet, got none; rebuild the activation cache")
    return files
