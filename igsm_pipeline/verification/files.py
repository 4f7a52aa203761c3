"""Solutions from anywhere: rows of {problem, question, solution[, answer]} in JSON lines, Parquet or any iterable, judged one by one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from igsm_pipeline.errors import BadInput, BadProblem, NotFound
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.text import parse_problem
from igsm_pipeline.verification.verdict import Verdict
from igsm_pipeline.verification.verifier import verify
from igsm_pipeline.world import World

FIELDS = ("problem", "question", "solution", "answer")
_SHAPE = "write {problem, question, solution} and, where there is one, answer, each as text"
VERDICTS = pa.schema(
    [
        ("row", pa.int64()),
        ("op", pa.int64()),
        ("correct", pa.bool_()),
        ("error", pa.string()),
        ("sentence", pa.int64()),
        ("parameter", pa.string()),
        ("final_answer_correct", pa.bool_()),
        ("unnecessary_parameters", pa.int64()),
        ("unnecessary_operations", pa.int64()),
        ("refused", pa.string()),
    ]
)
"""Columns of ``write_judgement``."""


@dataclass(frozen=True)
class Judged:
    """A row and its verdict.

    Attributes:
        number: of the row, from 1 (in a file of JSON lines: of the line).
        op: operations of its problem.
        verdict: on its solution.
    """

    number: int
    op: int
    verdict: Verdict


@dataclass(frozen=True)
class Refused:
    """A row that could not be judged, by number (from 1), and why not."""

    number: int
    reason: str


@dataclass(frozen=True)
class Judgement:
    """All rows of a file.

    Attributes:
        judged: those with a verdict.
        refused: those without.
    """

    judged: tuple[Judged, ...]
    refused: tuple[Refused, ...]


def verify_file(path: Path, world: World, modulus: int = 23, *, strict: bool = True) -> Judgement:
    """The verdicts on a file's solutions.

    Args:
        path: JSON lines, or Parquet where the name ends in ".parquet".
        world: of the problems.
        modulus: M.
        strict: see ``verify``.

    Raises:
        NotFound: no such file.
        BadInput: the file cannot be read at all; rows that cannot be judged are in the result.
    """
    if not path.is_file():
        raise NotFound(f"file to verify must exist, got {str(path)!r}; check the path")
    rows = _read_parquet(path) if path.suffix == ".parquet" else _read_lines(path)
    return _collect(_judge(number, row, world, modulus, strict) for number, row in rows)


def verify_dataset(data: object, world: World, modulus: int = 23, *, strict: bool = True, columns: Mapping[str, str] | None = None) -> Judgement:
    """The verdicts on a data set in memory, such as one split of a Hugging Face ``Dataset`` (which this package does not import).

    Args:
        data: an iterable of rows (mappings), or a mapping of columns (name -> values).
        world: of the problems.
        modulus: M.
        strict: see ``verify``.
        columns: names under which ``data`` has problem, question, solution and answer, where they are not those.

    Raises:
        BadInput: ``data`` is neither, or a mapping of whole data sets.
    """
    names = {name: (columns or {}).get(name, name) for name in FIELDS}
    for unknown in sorted((columns or {}).keys() - set(FIELDS)):
        raise BadInput("columns", f"must rename one of {', '.join(FIELDS)}", unknown, "write {field: column of the data}")
    if isinstance(data, Mapping):
        data = _rows_of_columns(data, names)
    if not isinstance(data, Iterable) or isinstance(data, str | bytes):
        raise BadInput("data", "must be rows or columns", type(data).__name__, "give a data set, a list of mappings or a mapping of lists")
    rows = ({name: row.get(own) for name, own in names.items() if own in row} if isinstance(row, Mapping) else row for row in data)
    return _collect(_judge(number, row, world, modulus, strict) for number, row in enumerate(rows, 1))


def _rows_of_columns(columns: Mapping[Any, Any], names: Mapping[str, str]) -> Iterable[Mapping[str, Any]]:
    present = [own for own in names.values() if own in columns]
    if not present or not all(isinstance(columns[own], Sequence) and not isinstance(columns[own], str | bytes) for own in present):
        raise BadInput("data", f"must have columns {', '.join(names.values())}", list(columns)[:8], "give one split, or name the columns")
    return (dict(zip(present, values, strict=True)) for values in zip(*(columns[own] for own in present), strict=True))


def _collect(found: Iterable[Judged | Refused]) -> Judgement:
    everything = list(found)
    return Judgement(tuple(one for one in everything if isinstance(one, Judged)), tuple(one for one in everything if isinstance(one, Refused)))


def verify_rows(rows: Iterable[Mapping[str, Any]], world: World, modulus: int = 23, *, strict: bool = True) -> Iterator[Judged | Refused]:
    """A verdict or a refusal for every row of a data set, lazily and in order (any iterable of mappings, such as a Hugging Face ``Dataset``)."""
    return (_judge(number, row, world, modulus, strict) for number, row in enumerate(rows, 1))


def _judge(number: int, row: object, world: World, modulus: int, strict: bool) -> Judged | Refused:
    try:
        problem_text, question, solution, answer = _fields(row)
        problem = parse_problem(problem_text + question, world, modulus)
    except BadProblem as error:
        return Refused(number, str(error))
    return Judged(number, problem.op, verify(problem, solution, answer, strict))


def _fields(row: object) -> tuple[str, str, str, str | None]:
    """Problem and question with their leading spaces, solution, answer; the problem may hold the question already."""
    if isinstance(row, BadProblem):
        raise row
    if not isinstance(row, Mapping):
        raise BadProblem("row", "must be an object", type(row).__name__, _SHAPE)
    values = []
    for name, required in (("problem", True), ("question", False), ("solution", True)):
        value = row.get(name)
        if value is None and not required:
            value = ""
        if not isinstance(value, str):
            raise BadProblem(name, "must be text", "nothing" if value is None else f"{type(value).__name__} {str(value)[:40]}", _SHAPE)
        values.append(value)
    answer = row.get("answer")
    if isinstance(answer, bool) or not isinstance(answer, str | int | float | None) or (isinstance(answer, float) and not answer.is_integer()):
        raise BadProblem("answer", "must be text or a whole number", answer, _SHAPE)
    problem, question, solution = values
    given = answer if isinstance(answer, str | None) else f"{answer:.0f}"
    return _spaced(problem), _spaced(question), solution, given


def _spaced(text: str) -> str:
    text = text.strip()
    return f" {text}" if text else ""


def _read_lines(path: Path) -> Iterator[tuple[int, object]]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, BadProblem("line", "must be JSON in UTF-8", str(error), _SHAPE)


def _read_parquet(path: Path) -> Iterator[tuple[int, object]]:
    try:
        file = pq.ParquetFile(path)
        columns = [name for name in FIELDS if name in file.schema_arrow.names]
        number = 0
        for batch in file.iter_batches(columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (pa.ArrowException, OSError) as error:
        raise BadInput(str(path), "must be a whole Parquet file", str(error), "write it again") from None


def write_judgement(judgement: Judgement, path: Path) -> None:
    """Write one row per row of the file, in order: number, op, the fields of ``Verdict``, and why a row could not be judged (null where it was).

    Args:
        judgement: of a file or data set.
        path: Parquet where the name ends in ".parquet", else JSON lines.
    """
    rows: list[dict[str, Any]] = [{"row": one.number, "op": one.op, **asdict(one.verdict), "refused": None} for one in judgement.judged]
    nothing = dict.fromkeys(name.name for name in fields(Verdict))
    rows += [{"row": one.number, "op": None, **nothing, "refused": one.reason} for one in judgement.refused]
    rows.sort(key=lambda row: int(row["row"]))
    if path.suffix == ".parquet":
        write_parquet(pa.Table.from_pylist(rows, VERDICTS), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
