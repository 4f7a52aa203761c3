"""Stage token_shards: a problem set in, training windows and their tokenizer out, resumable file by file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from tqdm import tqdm

from igsm_pipeline.errors import StageFailed
from igsm_pipeline.problems.files import from_table, problem_files
from igsm_pipeline.problems.record import ProblemBatch, Records
from igsm_pipeline.store import Writing, write_atomically
from igsm_pipeline.tokens.emission import emit
from igsm_pipeline.tokens.settings import ShardSettings
from igsm_pipeline.tokens.shards import TABLE_FILE, shard_counts, shard_path, table_facts, write_shard
from igsm_pipeline.tokens.table import build_table
from igsm_pipeline.tokens.windows import pack
from igsm_pipeline.world import load_world

STAGE = "token_shards"
VERSION = 1
TOKENIZER = "tokenizer"
SUMMARY = "summary.json"


def write_shards(settings: ShardSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write ``shard-*.parquet``, ``summary.json`` (counts per shard), ``table.json`` and ``tokenizer/``; shards of an earlier attempt are kept.

    Args:
        settings: windows and tokens.
        inputs: ``world`` and ``problems``.
        writing: the unit being written.

    Raises:
        StageFailed: every problem is longer than a window.
    """
    world = load_world(inputs["world"] / "world.json")
    table = build_table(world, settings.family.modulus, settings.tokens)
    source = _Rows(inputs["problems"])
    totals = dict.fromkeys(("problems", "dropped", "windows", "tokens"), 0)
    shards = []
    with tqdm(total=source.num_problems, desc="shards", unit="problem", unit_scale=True) as bar:
        for number, start in enumerate(range(0, source.num_problems, settings.problems_per_shard)):
            path = shard_path(writing.folder, number)
            if not path.exists():
                records = source.read(start, min(start + settings.problems_per_shard, source.num_problems))
                emitted = emit(ProblemBatch(records, world, settings.family.modulus), table, settings.family.format)
                write_shard(pack(emitted, settings.window, settings.alignment), records["op"], table.size, path)
            counts = shard_counts(path)
            shards.append({"file": path.name, **counts})
            totals = {name: total + counts[name] for name, total in totals.items()}
            bar.update(counts["problems"])
    if not totals["windows"]:
        raise StageFailed(f"all {totals['problems']} problems are longer than shards.window, which is {settings.window}: raise it")
    table.save(writing.folder / TOKENIZER)
    write_atomically(writing.folder / TABLE_FILE, (json.dumps(table_facts(table, settings.window), indent=1) + "\n").encode())
    write_atomically(writing.folder / SUMMARY, (json.dumps({**totals, "shards": shards}) + "\n").encode())
    writing.counts.update(totals)
    writing.counts["fill"] = round(totals["tokens"] / (totals["windows"] * settings.window), 4)


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
