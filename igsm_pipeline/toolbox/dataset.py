"""Writes problems for other programs: one self-contained row per problem, as JSON lines or Parquet.

A row has the exact texts (joined, they are the document), the answer, the dependency graph by names, and the token ids. In Parquet files ``parents``
and ``values`` are lists of (name, ...), since few readers know maps.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, TextIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from igsm_pipeline.errors import BadInput, BadSettings
from igsm_pipeline.experiments.yaml_files import read_yaml
from igsm_pipeline.outputs import check_output, find_format
from igsm_pipeline.problems.law.blocks import BlockMaker, family_by_name, generate, regenerate
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.problems.record import ProblemBatch, Records
from igsm_pipeline.problems.settings import NO_RETRIES, FamilySettings, ProblemSetSettings, RetrySettings
from igsm_pipeline.problems.workers import map_in_order
from igsm_pipeline.processes.pools import usable_cores
from igsm_pipeline.store import written_whole
from igsm_pipeline.text import render_answer, render_problem, render_question, render_solution
from igsm_pipeline.tokens import TokenSettings, TokenTable, build_table, emit
from igsm_pipeline.toolbox.problem_lines import fast_lines
from igsm_pipeline.toolbox.training_rows import LAYOUTS, SCHEMAS, Layout, training_lines, training_table
from igsm_pipeline.world.world import World, builtin_worlds, load_world

FileFormat = Literal["jsonl", "parquet", "messages", "text", "nanochat"]
"""Rows with everything as JSON lines or Parquet, or rows for training (``toolbox.training_rows``), in either."""
Container = Literal["jsonl", "parquet"]
SCHEMA = pa.schema(
    [
        ("problem", pa.string()),
        ("question", pa.string()),
        ("solution", pa.string()),
        ("answer", pa.string()),
        ("op", pa.int32()),
        ("hash", pa.int32()),
        ("query", pa.string()),
        ("necessary", pa.list_(pa.string())),
        ("parents", pa.list_(pa.struct([("name", pa.string()), ("parents", pa.list_(pa.string()))]))),
        ("values", pa.list_(pa.struct([("name", pa.string()), ("value", pa.int32())]))),
        ("token_ids", pa.list_(pa.uint32())),
        ("modulus", pa.int32()),
        ("world", pa.string()),
        ("world_hash", pa.string()),
    ]
)
DATASET_FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
"""Suffix of a file of problems -> its format."""
T = TypeVar("T")
Make = Callable[[ProblemBatch, TokenTable, FamilySettings], T]
_PART = 512
"""Problems that a process makes at a time."""
_TOLD = 4096
"""So many problems tell how much room a file takes."""
_ALONE = 8192
"""With fewer problems, starting processes takes longer than it saves."""


def read_family(named: str) -> FamilySettings:
    """The family ``med`` or ``hard``, or the one of a YAML file (a mapping of family settings, or an experiment file with a ``family`` section).

    Raises:
        BadSettings: there is no such family or file, or the file breaks a rule.
    """
    if named in ("med", "hard"):
        return family_by_name(named)
    try:
        values = read_yaml(Path(named))
    except (OSError, ValueError) as error:
        raise BadSettings("--family", "must be med, hard or a YAML file of family settings", named, f"name one that can be read ({error})") from None
    return FamilySettings.parse(values.get("family", values) if isinstance(values, dict) else values, named)


def generated_set(
    family: str,
    *,
    law: Literal["range", "exact"] = "range",
    op: int | None = None,
    split: Literal["train", "test", "all"] = "train",
    num_problems: int,
    seed: int = 0,
) -> ProblemSetSettings:
    """The problem set that the options of a command describe.

    Raises:
        BadSettings: there is no such family, or an option breaks a rule.
    """
    values = {"law": law, "op": op, "split": split, "num_problems": num_problems, "seed": seed, "stream": "generate"}
    return ProblemSetSettings.parse({"family": read_family(family).canonical(), **values}, "generate")


def find_problem(settings: ProblemSetSettings, world: World, key: str | None = None) -> ProblemBatch:
    """The last problem of a set, or the one with the key BLOCK:DRAW, made without the others; a batch of one.

    Raises:
        BadInput: it is no key, or no problem of the set has it.
        StageFailed: the split has no such problem.
    """
    if key is None:
        block, slot = divmod(settings.num_problems - 1, settings.block_size)
        return BlockMaker(settings, world).make(block, slot + 1).take(slice(slot, slot + 1))
    block_text, _, draw_text = key.partition(":")
    if not (block_text.isdecimal() and draw_text.isdecimal() and int(block_text) < 1 << 32 and int(draw_text) < 1 << 32):
        raise BadInput("--key", "must be BLOCK:DRAW, two numbers below 2**32", key, "take both from a record of the set, or from `igsm show`")
    return regenerate(settings, world, int(block_text), int(draw_text))


def problem_rows(batch: ProblemBatch, table: TokenTable, family: FamilySettings) -> Iterator[dict[str, Any]]:
    """One row per problem, with the fields of ``SCHEMA`` in order; types are there."""
    emitted = emit(batch, table, family.format)
    origin = _origin(batch)
    for index, problem in enumerate(batch):
        yield {
            "problem": render_problem(problem),
            "question": render_question(problem),
            "solution": render_solution(problem),
            "answer": render_answer(problem),
            "op": problem.op,
            "hash": int(batch.records[index]["template_bin"]),
            **_graph(problem),
            "token_ids": emitted.document(index).tolist(),
            **origin,
        }


def _origin(batch: ProblemBatch) -> dict[str, Any]:
    """What every row says of where it comes from."""
    return {"modulus": batch.modulus, "world": _builtin_name(batch.world), "world_hash": batch.world.content_hash}


def _builtin_name(world: World) -> str | None:
    """The built-in world that this is; None for a user's own file, whose name would mean nothing elsewhere."""
    return next((name for name in builtin_worlds() if load_world(name).content_hash == world.content_hash), None)


def _graph(problem: Problem) -> dict[str, Any]:
    graph = sorted(problem.graph)
    name_of = {parameter: problem.name(parameter) for parameter in graph}
    return {
        "query": name_of[problem.query],
        "necessary": [name_of[parameter] for parameter in problem.order],
        "parents": {name_of[parameter]: [name_of[parent] for parent in problem.parents(parameter)] for parameter in graph},
        "values": {name_of[parameter]: problem.values[parameter] for parameter in graph},
    }


def write_dataset(
    settings: ProblemSetSettings,
    world: World,
    *,
    vocab: Literal["gpt2", "compact"] = "gpt2",
    file_format: FileFormat | None = None,
    out: Path | None = None,
    workers: int = 1,
    retry: RetrySettings = NO_RETRIES,
) -> int:
    """Generate a problem set into a file, which appears when it is complete, or as JSON lines to stdout.

    Args:
        settings: which problems.
        world: the names.
        vocab: ids of GPT-2's own vocabulary, or compact ones.
        file_format: what a row is; None: jsonl or parquet, by the file's suffix. Rows for training go into either, by the suffix.
        out: the file; None: stdout.
        workers: number of processes; 0: one per core. The bytes do not depend on it.
        retry: what is named and taken back in the solutions of rows for training.

    Returns:
        The number of problems.

    Raises:
        BadSettings: Parquet without a file, or a file that cannot be written or held by the disk, or one with the suffix of another format.
        StageFailed: the split has no such problem.
    """
    if out is None:
        if file_format == "parquet":
            raise BadSettings("--out", "must be given with --format parquet", None, "name a file")
        make = maker_of(file_format or "jsonl", "jsonl", retry)
        return sum(_write_text(text, sys.stdout) for text in made_parts(settings, world, vocab, make, workers, back=retry.rate > 0))
    check_output(out)
    asked = {"nanochat": "jsonl", "messages": None, "text": None}.get(file_format or "", file_format)
    container: Container = "jsonl" if find_format(out, DATASET_FORMATS, asked) == "jsonl" else "parquet"
    make = maker_of(file_format or container, container, retry)
    with written_whole(out) as temporary, writer_to(temporary, file_format or container, container) as write:
        done = 0
        for part in made_parts(settings, world, vocab, make, workers, back=retry.rate > 0):
            done += write(part)
            check_room(temporary, done, settings.num_problems)
        return done


def check_room(path: Path, done: int, wanted: int) -> None:
    """Refuse to go on with a file that its disk cannot hold, by what its first problems take.

    Args:
        path: the file so far.
        done: problems in it.
        wanted: problems in all.

    Raises:
        BadSettings: it names the need and what is free.
    """
    rest = (wanted - done) * path.stat().st_size / max(1, done)
    free = shutil.disk_usage(path.parent).free
    if done >= _TOLD and rest > free:
        rule = f"must have {rest / 1e9:,.0f} GB free for the other {wanted - done:,} problems"
        raise BadSettings("--out", rule, f"{free / 1e9:,.1f} GB", "ask for fewer, free space, or name a file on another disk")


def maker_of(file_format: FileFormat, container: Container, retry: RetrySettings = NO_RETRIES) -> Make[Any]:
    """The picklable function that makes the lines or the table of some problems.

    Raises:
        BadSettings: retries are asked for in whole rows, which hold the solution itself.
    """
    if file_format in LAYOUTS:
        return partial(_for_training, file_format, container, retry)
    if retry.rate:
        raise BadSettings("--retry", f"must go with a --format for training, {', '.join(LAYOUTS)}", file_format, "name one of them")
    return _as_lines if container == "jsonl" else _as_table


@contextmanager
def writer_to(path: Path, file_format: FileFormat, container: Container) -> Iterator[Callable[[Any], int]]:
    """Open a file for what ``maker_of`` makes; gives the function that writes one part and returns its number of problems."""
    if container == "jsonl":
        with path.open("w", encoding="utf-8") as stream:
            yield lambda text: _write_text(text, stream)
    else:
        with pq.ParquetWriter(path, SCHEMAS.get(file_format, SCHEMA), compression="zstd") as writer:
            yield lambda rows: _write_table(rows, writer)


def made_parts(
    settings: ProblemSetSettings,
    world: World,
    vocab: Literal["gpt2", "compact"],
    make: Make[T],
    workers: int,
    every: int | None = None,
    *,
    back: bool = False,
) -> Iterator[T]:
    """Yield what ``make`` gives for the problems of a set, some at a time and in order; a bar counts them on a terminal.

    Args:
        settings: which problems.
        world: the names.
        vocab: the ids.
        make: called for each part.
        workers: number of processes; 0: one per core.
        every: a part ends after each so many problems, so that no part belongs to two files.
        back: with the token that takes a parameter back.
    """
    parts = _parts(settings, world, every)
    workers = workers or usable_cores()
    table = build_table(world, settings.family.modulus, TokenSettings(vocab=vocab, back=back))
    with tqdm(desc="problems", total=settings.num_problems, unit=" problems", leave=False, disable=None) as bar:
        if workers == 1 or settings.num_problems < _ALONE:
            made: Iterator[T] = (make(ProblemBatch(part, world, settings.family.modulus), table, settings.family) for part in parts)
        else:
            made = map_in_order(_make_part, parts, workers, _begin, (settings.family, world, table, make))
        for one in made:
            yield one
            bar.update(min(_PART, settings.num_problems - bar.n))


def _parts(settings: ProblemSetSettings, world: World, every: int | None) -> Iterator[Records]:
    done = 0
    for batch in generate(settings, world):
        first = 0
        while first < len(batch):
            size = min(_PART, len(batch) - first, _PART if every is None else every - done % every)
            yield batch.take(slice(first, first + size)).records
            first, done = first + size, done + size


_own: list[tuple[FamilySettings, World, TokenTable, Make[Any]]] = []
"""What a worker process makes; it is sent once."""


def _begin(family: FamilySettings, world: World, table: TokenTable, make: Make[Any]) -> None:
    _own[:] = [(family, world, table, make)]


def _make_part(records: Records) -> Any:
    family, world, table, make = _own[0]
    return make(ProblemBatch(records, world, family.modulus), table, family)


def _as_lines(batch: ProblemBatch, table: TokenTable, family: FamilySettings) -> tuple[str, int]:
    if not batch.world.lenient:
        return fast_lines(batch, table, family, _origin(batch)), len(batch)
    return "".join([json.dumps(row, ensure_ascii=False) + "\n" for row in problem_rows(batch, table, family)]), len(batch)


def _for_training(layout: Layout, container: Container, retry: RetrySettings, batch: ProblemBatch, table: TokenTable, family: FamilySettings) -> Any:
    if container == "parquet":
        return training_table(layout, batch, table, family, _origin(batch), retry)
    return training_lines(layout, batch, table, family, _origin(batch), retry), len(batch)


def _as_table(batch: ProblemBatch, table: TokenTable, family: FamilySettings) -> pa.Table:
    rows = problem_rows(batch, table, family)
    pairs = {"parents": ("name", "parents"), "values": ("name", "value")}
    return pa.Table.from_pylist(
        [{**row, **{field: [dict(zip(keys, one, strict=True)) for one in row[field].items()] for field, keys in pairs.items()}} for row in rows],
        SCHEMA,
    )


def _write_text(text: tuple[str, int], stream: TextIO) -> int:
    stream.write(text[0])
    return text[1]


def _write_table(table: pa.Table, writer: pq.ParquetWriter) -> int:
    writer.write_table(table)
    return int(table.num_rows)
