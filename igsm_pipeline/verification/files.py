"""Solutions from anywhere: rows of {problem, question, solution[, answer]} in JSON lines, Parquet or any iterable, judged one by one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from igsm_pipeline.errors import BadInput, BadProblem, NotFound
from igsm_pipeline.text import parse_problem
from igsm_pipeline.verification.accuracy import OpAccuracy, accuracy_by_op
from igsm_pipeline.verification.verdict import Verdict
from igsm_pipeline.verification.verifier import verify
from igsm_pipeline.world import World

_SHAPE = "write {problem, question, solution} and, where there is one, answer, each as text"


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

    def accuracy(self) -> tuple[OpAccuracy, ...]:
        """Fully correct solutions per op, then over all, with 95% intervals."""
        return accuracy_by_op({"op": one.op, "correct": one.verdict.correct} for one in self.judged)

    def first_errors(self) -> dict[str, int]:
        """First error -> number of solutions, commonest first."""
        return dict(Counter(one.verdict.error.value for one in self.judged if one.verdict.error is not None).most_common())

    def redundancy(self) -> tuple[float, float]:
        """Unnecessary parameters and unnecessary operations per fully correct solution; zero where none is correct."""
        right = [one.verdict for one in self.judged if one.verdict.correct]
        n = max(1, len(right))
        return sum(one.unnecessary_parameters for one in right) / n, sum(one.unnecessary_operations for one in right) / n


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
    found = [_judge(number, row, world, modulus, strict) for number, row in rows]
    return Judgement(tuple(one for one in found if isinstance(one, Judged)), tuple(one for one in found if isinstance(one, Refused)))


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
            raise BadProblem(f"row: {name}", "must be text", type(value).__name__ if name in row else "nothing", _SHAPE)
        values.append(value)
    answer = row.get("answer")
    if isinstance(answer, bool) or not isinstance(answer, str | int | float | None) or (isinstance(answer, float) and not answer.is_integer()):
        raise BadProblem("row: answer", "must be text or a whole number", answer, _SHAPE)
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
        columns = [name for name in ("problem", "question", "solution", "answer") if name in file.schema_arrow.names]
        number = 0
        for batch in file.iter_batches(columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (pa.ArrowException, OSError) as error:
        raise BadInput(str(path), "must be a whole Parquet file", str(error), "write it again") from None
