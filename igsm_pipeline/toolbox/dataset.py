"""Problems for other people's programs: one self-contained row per problem, as JSON lines or Parquet.

A row holds the exact texts (their concatenation is the document), the answer, the dependency graph by names, and the token ids.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from igsm_pipeline.errors import BadInput, BadSettings
from igsm_pipeline.problems.law.blocks import BlockMaker, family_by_name, generate, regenerate
from igsm_pipeline.problems.problem import Parameter, Problem
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.problems.settings import FamilySettings, ProblemSetSettings
from igsm_pipeline.store import written_whole
from igsm_pipeline.text import document, render_problem, render_question
from igsm_pipeline.tokens import TokenSettings, TokenTable, build_table, emit
from igsm_pipeline.world.world import World

FileFormat = Literal["jsonl", "parquet"]
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
        ("parents", pa.map_(pa.string(), pa.list_(pa.string()))),
        ("values", pa.map_(pa.string(), pa.int32())),
        ("token_ids", pa.list_(pa.uint32())),
    ]
)


def read_family(named: str) -> FamilySettings:
    """The family ``med`` or ``hard``, or the one in a YAML file (a mapping of family settings, or an experiment file with a ``family`` section).

    Raises:
        BadSettings: no such family or file, or the file breaks a rule.
    """
    try:
        return family_by_name(named)
    except KeyError:
        path = Path(named)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
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
    """The problem set that a person asks for by words.

    Raises:
        BadSettings: no such family, or the words break a rule.
    """
    values = {"law": law, "op": op, "split": split, "num_problems": num_problems, "seed": seed, "stream": "generate"}
    return ProblemSetSettings.parse({"family": read_family(family).canonical(), **values}, "generate")


def find_problem(settings: ProblemSetSettings, world: World, key: str | None = None) -> ProblemBatch:
    """The last problem of a set, or the one with a key, BLOCK:DRAW, made again without the others; a batch of one.

    Raises:
        BadInput: the key is none, or no problem of the set has it.
        StageFailed: the split holds no such problem.
    """
    if key is None:
        block, slot = divmod(settings.num_problems - 1, settings.block_size)
        return BlockMaker(settings, world).make(block, slot + 1).take(slice(slot, slot + 1))
    block_text, _, draw_text = key.partition(":")
    if not (block_text.isdecimal() and draw_text.isdecimal() and int(block_text) < 1 << 32 and int(draw_text) < 1 << 32):
        raise BadInput("--key", "must be BLOCK:DRAW, two numbers below 2**32", key, "take both from a record of the set, or from `igsm show`")
    return regenerate(settings, world, int(block_text), int(draw_text))


def problem_rows(batch: ProblemBatch, table: TokenTable, family: FamilySettings) -> Iterator[dict[str, Any]]:
    """One row per problem, in ``SCHEMA``'s order of fields; see there for the types."""
    emitted = emit(batch, table, family.format)
    for index, problem in enumerate(batch):
        yield {
            **_texts(problem, family),
            "hash": int(batch.records[index]["template_bin"]),
            **_graph(problem),
            "token_ids": emitted.document(index).tolist(),
        }


def _texts(problem: Problem, family: FamilySettings) -> dict[str, Any]:
    texts = document(problem, family.format)
    return {
        "problem": render_problem(problem),
        "question": render_question(problem),
        "solution": texts.solution,
        "answer": texts.answer,
        "op": problem.op,
    }


def _graph(problem: Problem) -> dict[str, Any]:
    graph = sorted(problem.graph)

    def names(parameters: tuple[Parameter, ...]) -> list[str]:
        return [problem.name(parameter) for parameter in parameters]

    return {
        "query": problem.name(problem.query),
        "necessary": names(problem.order),
        "parents": {problem.name(parameter): names(problem.parents(parameter)) for parameter in graph},
        "values": {problem.name(parameter): problem.values[parameter] for parameter in graph},
    }


def write_dataset(
    settings: ProblemSetSettings,
    world: World,
    *,
    vocab: Literal["gpt2", "compact"] = "gpt2",
    file_format: FileFormat = "jsonl",
    out: Path | None = None,
) -> int:
    """Generate a problem set into a file, written beside and renamed when whole, or as JSON lines to stdout.

    Args:
        settings: what to generate.
        world: names.
        vocab: ids of GPT-2's own vocabulary, or compact ones.
        file_format: jsonl or parquet.
        out: the file; None: stdout.

    Returns:
        The number of problems.

    Raises:
        BadSettings: Parquet without a file.
        StageFailed: the split holds no such problem.
    """
    table = build_table(world, settings.family.modulus, TokenSettings(vocab=vocab))
    batches = (list(problem_rows(batch, table, settings.family)) for batch in generate(settings, world))
    if out is None:
        if file_format == "parquet":
            raise BadSettings("--out", "must be given with --format parquet", None, "name a file")
        return sum(_write_lines(rows, sys.stdout) for rows in batches)
    with written_whole(out) as temporary:
        if file_format == "jsonl":
            with temporary.open("w", encoding="utf-8") as stream:
                return sum(_write_lines(rows, stream) for rows in batches)
        with pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
            return sum(_write_table(rows, writer) for rows in batches)


def _write_lines(rows: list[dict[str, Any]], stream: io.TextIOBase | Any) -> int:
    stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return len(rows)


def _write_table(rows: list[dict[str, Any]], writer: pq.ParquetWriter) -> int:
    writer.write_table(
        pa.Table.from_pylist([{**row, "parents": list(row["parents"].items()), "values": list(row["values"].items())} for row in rows], SCHEMA)
    )
    return len(rows)
