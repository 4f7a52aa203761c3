"""Stage token_shards: a problem set in, training windows and their tokenizer out, resumable file by file, by several processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from tqdm import tqdm

from igsm_pipeline.errors import StageFailed
from igsm_pipeline.problems.files import from_table, problem_files
from igsm_pipeline.problems.record import ProblemBatch, Records
from igsm_pipeline.problems.workers import write_files
from igsm_pipeline.store import Writing, remove_leftovers, write_atomically
from igsm_pipeline.tokens.settings import ShardSettings
from igsm_pipeline.tokens.shards import TABLE_FILE, shard_counts, shard_path, table_facts, write_shard
from igsm_pipeline.tokens.table import TokenTable, build_table
from igsm_pipeline.tokens.tokenizer import save_tokenizer
from igsm_pipeline.tokens.windows import windows_of
from igsm_pipeline.world import World, load_world

TOKENIZER = "tokenizer"
SUMMARY = "summary.json"


def write_shards(settings: ShardSettings, inputs: Mapping[str, Path], writing: Writing, *, workers: int = 1) -> None:
    """Write ``shard-*.parquet``, ``summary.json`` (counts per shard), ``table.json`` and ``tokenizer/``; shards of an earlier attempt are kept.

    Args:
        settings: windows and tokens.
        inputs: ``world`` and ``problems``.
        writing: the unit being written.
        workers: processes; the files do not depend on it.

    Raises:
        StageFailed: every problem is longer than a window.
        TransientFault: a worker was killed.
    """
    _open_source.cache_clear()  # the same folders may hold something else by now
    source = _open_source(settings, inputs["world"], inputs["problems"])
    num_problems = source.rows.num_problems
    paths = [shard_path(writing.folder, number) for number in range(-(-num_problems // settings.problems_per_shard))]
    remove_leftovers(writing.folder)
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    done = sum(shard_counts(path)["problems"] for path in paths if path.exists())
    write = partial(_write_shard, settings, inputs["world"], inputs["problems"], writing.folder)
    with tqdm(total=num_problems, initial=done, desc="shards", unit="problem", unit_scale=True) as bar:
        for written in write_files(write, missing, workers):
            bar.update(written)
    shards = [{"file": path.name, **shard_counts(path)} for path in paths]
    totals = {name: sum(one[name] for one in shards) for name in ("problems", "dropped", "windows", "tokens")}
    if totals["dropped"] == totals["problems"]:
        raise StageFailed(f"all {totals['problems']} problems are longer than shards.window, which is {settings.window}: raise it")
    save_tokenizer(source.table, writing.folder / TOKENIZER, loads_everywhere=False)
    write_atomically(writing.folder / TABLE_FILE, (json.dumps(table_facts(source.table, settings.window), indent=1) + "\n").encode())
    write_atomically(writing.folder / SUMMARY, (json.dumps({**totals, "shards": shards}) + "\n").encode())
    writing.counts.update(totals)
    writing.counts["fill"] = round(totals["tokens"] / (totals["windows"] * settings.window), 4)


@dataclass(frozen=True)
class _Source:
    """What every shard is made from."""

    world: World
    table: TokenTable
    rows: _Rows


@lru_cache(maxsize=1)
def _open_source(settings: ShardSettings, world_folder: Path, problems_folder: Path) -> _Source:
    """The source of a unit's shards, opened once per process."""
    world = load_world(world_folder)
    return _Source(world, build_table(world, settings.family.modulus, settings.tokens), _Rows(problems_folder))


def _write_shard(settings: ShardSettings, world_folder: Path, problems_folder: Path, folder: Path, number: int) -> int:
    """Write one shard; returns how many problems it takes up."""
    source = _open_source(settings, world_folder, problems_folder)
    start = number * settings.problems_per_shard
    records = source.rows.read(start, min(start + settings.problems_per_shard, source.rows.num_problems))
    batch = ProblemBatch(records, source.world, settings.family.modulus)
    packed = windows_of(batch, source.table, settings.family, settings, number)
    write_shard(packed, records["op"], source.table.size, shard_path(folder, number))
    return len(records)


class _Rows:
    """Rows of a problem set by number, one file in memory at a time."""

    def __init__(self, folder: Path) -> None:
        self.paths = problem_files(folder)
        self.starts = np.cumsum([0, *(pq.read_metadata(path).num_rows for path in self.paths)]).tolist()
        self.num_problems: int = self.starts[-1]
        self._held: tuple[int, Records] | None = None

    def read(self, start: int, end: int) -> Records:
        """Rows ``start`` to ``end - 1``."""
        parts = []
        for number, (first, last) in enumerate(zip(self.starts[:-1], self.starts[1:], strict=True)):
            if first < end and start < last:
                if self._held is None or self._held[0] != number:
                    self._held = (number, from_table(pq.read_table(self.paths[number])))
                parts.append(self._held[1][max(start, first) - first : min(end, last) - first])
        return np.concatenate(parts)
