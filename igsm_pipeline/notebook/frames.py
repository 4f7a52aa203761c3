"""Parquet files and problems as polars frames that people can read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from igsm_pipeline.errors import BadInput
from igsm_pipeline.problems.anatomy import NOTHING
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.queries.facts import parameter_of_code
from igsm_pipeline.text import render_answer, render_problem, render_question, render_solution

_OWN = os.getpid()
"""The process that polars' threads belong to."""


def refuse_forks() -> None:
    """Refuse to read tables in a process that was forked from the one that imported this: there polars would wait for ever for its threads.

    Raises:
        BadInput: it was.
    """
    if os.getpid() != _OWN:
        raise BadInput("process", "must not be a fork of one that reads tables", os.getpid(), "use multiprocessing.get_context('spawn')")


def read_frame(paths: Iterable[Path]) -> pl.DataFrame:
    """The rows of some Parquet files of one kind, file after file; a column that a file lacks is null there."""
    refuse_forks()
    return pl.concat([pl.read_parquet(path, glob=False) for path in paths], how="diagonal_relaxed")


def from_arrow(table: pa.Table) -> pl.DataFrame:
    """An Arrow table as a frame."""
    refuse_forks()
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def read_states(folder: Path, layer: int, key: Sequence[str], at: str) -> pl.DataFrame:
    """The states of one layer in an activation cache, with their key; ``state`` is float32, d_model numbers.

    Args:
        folder: of the cache.
        layer: which one.
        key: columns that tell states apart.
        at: "queries" or "sentences".
    """
    refuse_forks()
    name = f"layer_{layer}"
    table = pa.concat_tables(pq.read_table(path, columns=[*key, name]) for path in sorted(folder.glob(f"{at}-*.parquet")))
    states = table[name].cast(pa.list_(pa.float32(), table[name].type.list_size))
    return from_arrow(table.select(list(key)).append_column("state", states))


def problem_frame(batch: ProblemBatch) -> pl.DataFrame:
    """One row per problem: its row in the batch, op, number of necessary parameters, and its texts (question and answer included)."""
    refuse_forks()
    problems = list(batch)
    texts = {
        "statements": [render_problem(one).strip() for one in problems],
        "question": [render_question(one).strip() for one in problems],
        "solution": [render_solution(one).strip() for one in problems],
        "answer": [render_answer(one).strip() for one in problems],
    }
    facts = {"op": batch.records["op"].astype("int64"), "num_necessary": batch.records["num_necessary"].astype("int64")}
    schema = {"problem": pl.Int32, "op": pl.Int32, "num_necessary": pl.Int32, **dict.fromkeys(texts, pl.String)}
    return pl.DataFrame({"problem": range(len(batch)), **facts, **texts}, schema=schema)


def with_names(frame: pl.DataFrame, batch: ProblemBatch) -> pl.DataFrame:
    """Queries, or what a probe said of them, with the names of their parameters: ``name``, and ``name_b`` where some query is about two.

    A frame without rows has the column ``name`` as well.

    Args:
        frame: has the columns problem, parameter and parameter_b.
        batch: the problems; ``problem`` is a row of it.
    """
    if frame.is_empty():
        return frame.with_columns(pl.lit(None, pl.String).alias("name"))
    for code, name in (("parameter", "name"), ("parameter_b", "name_b")):
        keys = frame.select("problem", code).unique().filter(pl.col(code) != NOTHING)
        if not keys.is_empty():
            problems = {row: batch[row] for row in keys["problem"].unique().to_list()}
            names = [problems[row].name(parameter_of_code(batch.records[row], number)) for row, number in keys.iter_rows()]
            frame = frame.join(keys.with_columns(pl.Series(name, names, pl.String)), on=["problem", code], how="left", maintain_order="left")
    return frame
