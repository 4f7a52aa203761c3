"""Stage problem_sets: settings in, Parquet out, block by block, resumable file by file, by several processes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from igsm_pipeline.problems.chosen import choose_from
from igsm_pipeline.problems.files import problem_files, to_table, values_of, write_parquet
from igsm_pipeline.problems.law.blocks import BlockMaker
from igsm_pipeline.problems.law.split import TEST_BINS, TRAIN_BINS
from igsm_pipeline.problems.record import RECORD, Records
from igsm_pipeline.problems.settings import OWN, ProblemSetSettings
from igsm_pipeline.problems.workers import write_files
from igsm_pipeline.store import Writing, remove_leftovers, write_atomically
from igsm_pipeline.world import World, load_world

BLOCKS_PER_FILE = 16
_SUMMARISED = ("op", "template_bin", "statement_order", "order", "num_necessary")
"""Fields of ``RECORD`` that ``summarise`` reads."""


def write_problem_set(settings: ProblemSetSettings, inputs: Mapping[str, Path], writing: Writing, *, workers: int = 1) -> None:
    """Write ``problems-*.parquet`` and ``summary.json``; files of an earlier attempt are kept.

    Args:
        settings: what to draw.
        inputs: ``world``, and ``own_problems`` if the problems are taken from a file of one's own.
        writing: the unit being written.
        workers: processes; the files do not depend on it.

    Raises:
        StageFailed: the split or the family holds no such problem.
        TransientFault: a worker was killed.
    """
    if OWN in inputs:
        records = choose_from(inputs[OWN], settings)
        write_parquet(to_table(records), problem_file(writing.folder, 0))
        _summarise(writing, len(records))
        return
    world = load_world(inputs["world"])
    per_file = settings.block_size * BLOCKS_PER_FILE
    num_files = -(-settings.num_problems // per_file)
    remove_leftovers(writing.folder)
    missing = [number for number in range(num_files) if not problem_file(writing.folder, number).exists()]
    done = settings.num_problems - sum(min(per_file, settings.num_problems - number * per_file) for number in missing)
    write = partial(_write_file, settings, world, writing.folder)
    with tqdm(total=settings.num_problems, initial=done, desc=f"problems {settings.stream}", unit="problem", unit_scale=True) as bar:
        for written in write_files(write, missing, workers):
            bar.update(written)
    _summarise(writing, settings.num_problems)


def _summarise(writing: Writing, number: int) -> None:
    """Write ``summary.json`` and the counts of a set of so many problems."""
    tables = (pq.read_table(path, columns=list(_SUMMARISED)) for path in problem_files(writing.folder))
    summary = summarise({name: values_of(table, name) for name in _SUMMARISED} for table in tables)
    write_atomically(writing.folder / "summary.json", json.dumps(summary, indent=1).encode())
    writing.counts["problems"] = number
    writing.counts["train_template_share"] = round(float(summary["train_template_share"]), 6)  # type: ignore[arg-type]


def problem_file(folder: Path, number: int) -> Path:
    """The file of a run of blocks."""
    return folder / f"problems-{number:05d}.parquet"


def _write_file(settings: ProblemSetSettings, world: World, folder: Path, number: int) -> int:
    """Write one file; returns its number of problems."""
    maker, size = BlockMaker(settings, world), settings.block_size
    first = number * BLOCKS_PER_FILE
    blocks = range(first, min(first + BLOCKS_PER_FILE, -(-settings.num_problems // size)))
    records = np.concatenate([maker.make(block, min(size, settings.num_problems - block * size)).records for block in blocks])
    write_parquet(to_table(records), problem_file(folder, number))
    return len(records)


def summarise(parts: Iterator[Records | Mapping[str, NDArray[Any]]]) -> dict[str, object]:
    """What a check or a plot asks first: op histogram, template bins, statements per problem, childless and abstract queries."""
    ops, bins, statements = np.zeros(256, np.int64), np.zeros(23, np.int64), np.zeros(RECORD["statement_order"].shape[0] + 1, np.int64)
    total, abstract_queries = 0, 0
    for records in parts:
        total += len(records["op"])
        ops += np.bincount(records["op"], minlength=256)
        bins += np.bincount(records["template_bin"], minlength=23)
        statements += np.bincount((records["statement_order"] != 255).sum(1), minlength=len(statements))
        queries = records["order"][np.arange(len(records["op"])), records["num_necessary"] - 1]
        abstract_queries += int((queries >= RECORD["parents"].shape[0]).sum())
    last = int(np.flatnonzero(ops).max(initial=0))
    return {
        "problems": total,
        "op_histogram": ops[: last + 1].tolist(),
        "template_bins": bins.tolist(),
        "statements_histogram": statements.tolist(),
        "train_template_share": float(bins[sorted(TRAIN_BINS)].sum() / max(total, 1)),
        "test_template_share": float(bins[sorted(TEST_BINS)].sum() / max(total, 1)),
        "abstract_query_share": abstract_queries / max(total, 1),
    }
