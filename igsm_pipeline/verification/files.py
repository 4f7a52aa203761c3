"""Verifies rows of {problem, question, solution[, answer]} from any file, pipe or data set, one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from igsm_pipeline.outputs import find_format
from igsm_pipeline.store import written_whole
from igsm_pipeline.verification.rows.columns import Columns
from igsm_pipeline.verification.rows.datasets import rows_of
from igsm_pipeline.verification.rows.hints import Sample, find_hints
from igsm_pipeline.verification.rows.judging import Judged, Judging, Refused
from igsm_pipeline.verification.rows.pool import judge_rows
from igsm_pipeline.verification.rows.sources import check_source, read_rows
from igsm_pipeline.verification.verdict import Verdict
from igsm_pipeline.world import World, world_of

__all__ = [
    "Judged",
    "Judgement",
    "Judging",
    "Refused",
    "VerdictWriter",
    "judge_file",
    "verify_dataset",
    "verify_file",
    "verify_rows",
    "write_judgement",
]
VERDICT_FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
"""Suffix of a file of verdicts -> its format."""
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
        ("normalised", pa.list_(pa.string())),
        ("refused", pa.string()),
    ]
)
"""Columns of a file of verdicts."""
_NO_VERDICT = dict.fromkeys(name.name for name in fields(Verdict))
_BATCH = 4096


@dataclass(frozen=True)
class Judgement:
    """The verdicts on all rows of a file.

    Attributes:
        judged: rows with a verdict.
        refused: rows that could not be verified, and why.
        hints: sentences about what most failures have in common.
    """

    judged: tuple[Judged, ...]
    refused: tuple[Refused, ...]
    hints: tuple[str, ...] = ()


def verify_file(
    path: str | Path,
    world: World | str | Path | None = None,
    modulus: int | None = None,
    *,
    strict: bool = True,
    exact: bool = False,
    columns: Mapping[str, str] | None = None,
) -> Judgement:
    """Verify the solutions of a file.

    Args:
        path: JSON lines, a JSON array or object, CSV, TSV, Parquet, Arrow or a folder of Parquet; packed by gzip, zstd, bzip2 or xz; a pipe; or "-".
        world: the world of the problems, or its name or file; None: the built-in world that a row names, else "igsm".
        modulus: M; None: the one that a row names, else 23.
        strict: see ``verify``.
        exact: judge texts byte for byte. With False, a row that is not right is first spelt as the generator spells it.
        columns: field -> key in the file, for keys that differ from the field's name.

    Raises:
        NotFound: there is no such file.
        BadInput: the file cannot be read at all. Rows that cannot be verified are in the result.
    """
    samples: list[Sample] = []
    judging = Judging(_known(world), modulus, strict, exact, dict(columns or {}))
    return _collect(judge_file(Path(path), judging, samples), samples, judging)


def judge_file(path: Path, judging: Judging, samples: list[Sample], workers: int = 1) -> Iterator[Judged | Refused]:
    """Yield a verdict or a refusal for every row of a file, lazily and in order.

    Args:
        path: see ``verify_file``.
        judging: how to judge.
        samples: gets the first rows that are not right, for ``find_hints``.
        workers: number of processes.

    Raises:
        NotFound: there is no such file.
        BadInput: the file cannot be read at all.
    """
    columns = Columns(judging.columns)
    check_source(path)
    return judge_rows(read_rows(path, columns), judging, workers, samples)


def verify_dataset(
    data: object,
    world: World | str | Path | None = None,
    modulus: int | None = None,
    *,
    strict: bool = True,
    exact: bool = False,
    columns: Mapping[str, str] | None = None,
) -> Judgement:
    """Verify a data set in memory, such as one split of a Hugging Face ``Dataset`` (which this package does not import).

    Args:
        data: an iterable of rows (mappings), a mapping of columns, a pandas or Polars frame, or an Arrow table.
        world: see ``verify_file``.
        modulus: M.
        strict: see ``verify``.
        exact: see ``verify_file``.
        columns: field -> key of ``data``, for keys that differ from problem, question, solution and answer.

    Raises:
        BadInput: ``data`` is none of these, or a mapping of whole data sets.
    """
    samples: list[Sample] = []
    judging = Judging(_known(world), modulus, strict, exact, dict(columns or {}))
    rows = rows_of(data, Columns(judging.columns))
    return _collect(judge_rows(enumerate(rows, 1), judging, 1, samples), samples, judging)


def verify_rows(
    rows: Iterable[object], world: World | str | Path | None = None, modulus: int | None = None, *, strict: bool = True, exact: bool = False
) -> Iterator[Judged | Refused]:
    """Yield a verdict or a refusal for every row of a data set, lazily and in order (an iterable of mappings, such as a Hugging Face ``Dataset``)."""
    return Judging(_known(world), modulus, strict, exact).judge_all(enumerate(rows, 1))


def _known(world: World | str | Path | None) -> World | None:
    return None if world is None else world_of(world)


def _collect(found: Iterable[Judged | Refused], samples: list[Sample], judging: Judging) -> Judgement:
    everything = list(found)
    judged = tuple(one for one in everything if isinstance(one, Judged))
    return Judgement(judged, tuple(one for one in everything if isinstance(one, Refused)), tuple(find_hints(samples, judging)))


class VerdictWriter:
    """Writes a row per verdict, in order: number, op, the fields of ``Verdict``, what was spelt in another way, and why a row was refused.

    Use it in a ``with`` block; the file appears if the block ends without an error.

    Args:
        path: JSON lines, or Parquet if the name ends in ".parquet" (in any case).

    Attributes:
        encode: makes what ``write`` takes of some outcomes; picklable, so that other processes can do it.

    Raises:
        BadSettings: the name has another ending.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.encode: Callable[[Iterable[Judged | Refused]], bytes | pa.Table] = (
            _encode_table if find_format(path, VERDICT_FORMATS) == "parquet" else _encode_lines
        )
        self._waiting: list[pa.Table] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        temporary = self._stack.enter_context(written_whole(self._path))
        if self.encode is _encode_table:
            self._parquet = self._stack.enter_context(pq.ParquetWriter(temporary, VERDICTS, compression="zstd"))
        else:
            self._lines = self._stack.enter_context(temporary.open("wb"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._flush()
        self._stack.__exit__(kind, error, trace)

    def write(self, encoded: bytes | pa.Table) -> None:
        """Write the next rows, as ``encode`` gives them."""
        if isinstance(encoded, bytes):
            self._lines.write(encoded)
            return
        self._waiting.append(encoded)
        if sum(map(len, self._waiting)) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._parquet.write_table(pa.concat_tables(self._waiting))
            self._waiting.clear()


def _row_of(one: Judged | Refused) -> dict[str, Any]:
    if isinstance(one, Refused):
        return {"row": one.number, "op": None, **_NO_VERDICT, "normalised": [], "refused": one.reason}
    values = {name: getattr(one.verdict, name) for name in _NO_VERDICT}
    return {"row": one.number, "op": one.op, **values, "normalised": [str(kind) for kind in one.spellings], "refused": None}


def _encode_lines(rows: Iterable[Judged | Refused]) -> bytes:
    return "".join([json.dumps(_row_of(one)) + "\n" for one in rows]).encode()


def _encode_table(rows: Iterable[Judged | Refused]) -> pa.Table:
    return pa.Table.from_pylist([_row_of(one) for one in rows], VERDICTS)


def write_judgement(judgement: Judgement, path: str | Path) -> None:
    """Write the verdicts on a whole file; see ``VerdictWriter``."""
    rows: list[Judged | Refused] = [*judgement.judged, *judgement.refused]
    with VerdictWriter(Path(path)) as writer:
        writer.write(writer.encode(sorted(rows, key=lambda row: row.number)))
