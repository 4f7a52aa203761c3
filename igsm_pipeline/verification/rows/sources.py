"""Reads the rows of a file in any common format, numbered, as they are asked for."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from igsm_pipeline.errors import BadInput, BadProblem, NotFound
from igsm_pipeline.verification.rows.columns import FIELDS, Columns

STDIN = Path("-")
NumberedRow = tuple[int, object]
_TABLES = (b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")
"""First bytes of a Parquet file, an Arrow file and an Arrow stream."""
_SHAPE = "write {problem, question, solution} and, where there is one, answer, each as text"
_PACKED = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd", ".bz2": b"BZh", ".xz": b"\xfd7zXZ\x00"}
_FORMATS = "JSON lines, a JSON array or object, CSV, TSV, Parquet or Arrow, as it is or packed by gzip, zstd, bzip2 or xz"
_FOREIGN = {".xlsx", ".xls", ".ods", ".pkl", ".pickle", ".pt", ".npy", ".npz", ".zip", ".tar", ".7z", ".yaml", ".yml", ".md", ".html", ".pdf"}
_PEEK = 1 << 12
MOST_FILES = 20_000
"""Ours: files and folders below a folder of rows. More is no set of rows but somebody's disk, and a walk over it would take minutes."""


def read_rows(path: Path, columns: Columns) -> Iterator[NumberedRow]:
    """The rows of a file, a folder of Parquet files, a pipe or, for "-", of standard input, in order.

    Lines of JSON are given as bytes (``parse_line`` reads them). Something that is not a row is given as the error that says why.

    Args:
        path: its content decides the kind of file; its suffix (in any case) decides between JSON, CSV and TSV.
        columns: which columns of Parquet are read.

    Raises:
        NotFound: there is no such file.
        BadInput: the file cannot be read at all; raised when the first row is asked for.
    """
    if path.is_dir():
        yield from _read_folder(path, columns)
        return
    with open_source(path) as (stream, suffix):
        yield from read_stream(stream, suffix, str(path), columns)


def check_source(path: Path) -> None:
    """Refuse a source that does not exist.

    Raises:
        NotFound: there is no such file or folder.
    """
    if path != STDIN and not path.exists():
        raise NotFound(f"file must exist, got {str(path)!r}; check the path")


@contextmanager
def open_source(path: Path) -> Iterator[tuple[io.BufferedReader, str]]:
    """A file's unpacked bytes, and its suffix without that of the packing, in lower case.

    Raises:
        NotFound: there is no such file.
        BadInput: it cannot be opened or unpacked.
    """
    check_source(path)
    suffixes = [one.lower() for one in path.suffixes]
    suffix = next((one for one in reversed(suffixes) if one not in (*_PACKED, ".gzip", ".zstd", ".bz", ".lzma")), "")
    try:
        if path == STDIN:
            yield _unpacked(sys.stdin.buffer), suffix
        else:
            with path.open("rb") as stream:
                yield _unpacked(stream), suffix
    except PermissionError as error:
        raise BadInput(str(path), "must be readable", error.strerror, "change its permissions") from None
    except (OSError, EOFError, pa.ArrowException, lzma.LZMAError) as error:
        raise BadInput(str(path), "must be a whole file", str(error), "write it again") from None


def _unpacked(stream: BinaryIO) -> io.BufferedReader:
    """The stream without its packing, which its first bytes show."""
    raw = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", stream))
    start = raw.peek(8)[:8]
    packing = next((name for name, magic in _PACKED.items() if start.startswith(magic)), None)
    if packing is None:
        return raw
    if packing == ".zst":
        return io.BufferedReader(cast("io.RawIOBase", _ArrowBytes(pa.CompressedInputStream(raw, "zstd"))))
    opened: Any = {".gz": gzip.GzipFile, ".bz2": bz2.BZ2File}.get(packing, lzma.LZMAFile)  # each takes a stream, by another name
    return io.BufferedReader(opened(fileobj=raw) if packing == ".gz" else opened(raw))


class _ArrowBytes(io.RawIOBase):
    """A stream of Arrow's as one that Python can buffer."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def read_stream(stream: io.BufferedReader, suffix: str, name: str, columns: Columns) -> Iterator[NumberedRow]:
    """The rows of a stream; arguments as ``read_rows`` and ``open_source`` give them, ``name`` is for errors."""
    start = stream.peek(_PEEK)[:_PEEK]
    if start.startswith(_TABLES) or suffix in (".parquet", ".arrow", ".feather"):
        yield from _read_arrow(stream, start, name, columns)
    elif suffix in _FOREIGN or b"\0" in start.replace(b"\xff\xfe", b"", 1)[:1] or start.startswith(b"PK\x03\x04"):
        raise BadInput(name, f"must be {_FORMATS}", suffix or "another kind of file", "write it as JSON lines")
    elif suffix in (".csv", ".tsv") or (
        suffix not in (".json", ".jsonl", ".ndjson") and not start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))
    ):
        yield from _read_csv(stream, suffix, name)
    else:
        yield from _read_json(stream, name)


def is_table(start: bytes, suffix: str) -> bool:
    """Whether a file holds rows rather than one text, by its first bytes and its suffix (in lower case)."""
    begins = start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[", *_TABLES))
    return begins or suffix in (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow", ".feather")


def _read_json(stream: io.BufferedReader, name: str) -> Iterator[NumberedRow]:
    """Lines of JSON, or one document that holds rows."""
    lines: Iterable[bytes] = _utf8_lines(stream)
    number, first = next(((number, line) for number, line in enumerate(lines, 1) if line.strip()), (0, b""))
    if not number:
        return
    if _is_whole_line(first):
        second = next(((later, line) for later, line in enumerate(lines, number + 1) if line.strip()), None)
        value = _parsed(first) if second is None else None
        if isinstance(value, list) or (isinstance(value, dict) and _rows_within(value) is not None):
            yield from enumerate(_rows_of_document(value, name), 1)
            return
        yield number, first
        if second is not None:
            yield second
            yield from ((later, line) for later, line in enumerate(lines, second[0] + 1) if line.strip())
        return
    whole = first + b"".join(lines)
    try:
        yield from enumerate(_rows_of_document(json.loads(whole), name), 1)
    except (ValueError, RecursionError) as error:
        if isinstance(error, BadInput):
            raise
        if first.strip() in (b"[", b"{") or first.lstrip().startswith(b"["):
            raise BadInput(name, "must be whole JSON in UTF-8", str(error), "write it again, or as one object per line") from None
        for later, line in enumerate(whole.split(b"\n"), number):
            if line.strip():
                yield later, line


def _utf8_lines(stream: io.BufferedReader) -> Iterator[bytes]:
    """Lines in UTF-8 without a byte-order mark."""
    start = stream.peek(4)[:4]
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield from (line.encode("utf-8") for line in io.TextIOWrapper(stream, "utf-16", errors="replace"))
        return
    if start.startswith(b"\xef\xbb\xbf"):
        stream.read(3)
    yield from stream


def _is_whole_line(line: bytes) -> bool:
    """Whether a line is complete: false if it ends before its value does, like the first line of a document over many lines."""
    try:
        json.loads(line)
    except json.JSONDecodeError as error:
        return error.msg.startswith("Unterminated") or error.pos < len(error.doc.rstrip())
    except (ValueError, RecursionError):
        return True
    return True


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def parse_line(line: bytes) -> object:
    """The row of a line of JSON, or the error that says why there is none."""
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        rest = line.strip()[-1:]
        way_out = "take off the comma at its end" if error.msg == "Extra data" and rest == b"," else _SHAPE
        what = "the file ends within it" if error.msg.startswith("Unterminated") and not line.endswith(b"\n") else str(error)
        return BadProblem("line", "must be JSON in UTF-8", what, way_out)
    except (ValueError, RecursionError) as error:
        return BadProblem("line", "must be JSON in UTF-8", str(error), _SHAPE)


def _rows_within(value: Mapping[str, Any]) -> object:
    """The rows inside an object: its only list of objects, or its columns; None if the object is itself a row."""
    lower = {key.lower() for key in value}
    lists = [one for one in value.values() if isinstance(one, list) and one and all(isinstance(row, dict) for row in one[:8])]
    if lower & set(FIELDS):
        columns = [one for key, one in value.items() if key.lower() in FIELDS]
        if all(isinstance(one, list) for one in columns) or all(isinstance(one, dict) for one in columns):
            return {key: list(one.values()) if isinstance(one, dict) else one for key, one in value.items()}
        return None
    if "messages" in lower or "conversations" in lower:
        return None
    if len(lists) == 1:
        return lists[0]
    splits = [one for key, one in value.items() if key.lower() in ("test", "data", "rows")]
    return splits[0] if len(splits) == 1 and isinstance(splits[0], list) else None


def _rows_of_document(value: object, name: str) -> Iterable[object]:
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        within = _rows_within(value)
        if isinstance(within, list):
            return within
        if isinstance(within, dict):
            lists = {key: one for key, one in within.items() if isinstance(one, list)}
            return (dict(zip(lists, values, strict=False)) for values in zip(*lists.values(), strict=False))
        return [value]
    raise BadInput(name, "must hold objects", type(value).__name__, _SHAPE)


def _read_csv(stream: io.BufferedReader, suffix: str, name: str) -> Iterator[NumberedRow]:
    """Rows of a table with a header, numbered from the first after it; commas, semicolons or tabs separate cells."""
    lines = (line.decode("utf-8") for line in _utf8_lines(stream))
    try:
        header = next(lines, "")
        if "\0" in header:
            raise BadInput(name, f"must be {_FORMATS}", "another kind of file", "write it as JSON lines")
        delimiter = "\t" if suffix == ".tsv" else max(",;\t", key=header.count)
        csv.field_size_limit(1 << 24)
        keys = next(csv.reader([header], delimiter=delimiter), [])
        if header and len(keys) < 2 and suffix not in (".csv", ".tsv"):
            raise BadInput(name, f"must be {_FORMATS}", header.strip()[:60], "write it as JSON lines")
        reader = csv.DictReader(lines, keys, delimiter=delimiter, restkey="(more cells than the header has)")
        yield from ((number, {key: value for key, value in row.items() if value is not None}) for number, row in enumerate(reader, 1))
    except UnicodeDecodeError as error:
        raise BadInput(name, "must be in UTF-8", str(error), "write it again in UTF-8") from None
    except csv.Error as error:
        raise BadInput(name, "must be a table of text", str(error), "write it again, or as JSON lines") from None


def _read_arrow(stream: BinaryIO, start: bytes, name: str, columns: Columns) -> Iterator[NumberedRow]:
    try:
        source = stream if stream.seekable() else io.BytesIO(stream.read())
        if start.startswith(b"ARROW1"):
            reader = pa.ipc.open_file(source)
            batches: Iterable[Any] = (reader.get_batch(number) for number in range(reader.num_record_batches))
        elif start.startswith(b"PAR1"):
            file = pq.ParquetFile(source)
            wanted = [one for one in file.schema_arrow.names if columns.wanted(one)]
            batches = file.iter_batches(columns=wanted or file.schema_arrow.names, batch_size=4096)
        else:
            batches = pa.ipc.open_stream(source)
        yield from enumerate(_rows_of_batches(batches, columns), 1)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(name, "must be a whole Parquet or Arrow file", str(error), "write it again") from None


def _rows_of_batches(batches: Iterable[Any], columns: Columns) -> Iterator[Mapping[str, Any]]:
    for batch in batches:
        wanted = [one for one in batch.schema.names if columns.wanted(one)]
        yield from (batch.select(wanted) if wanted else batch).to_pylist()


def _read_folder(folder: Path, columns: Columns) -> Iterator[NumberedRow]:
    """The rows of all Parquet files below a folder, in the order of their names."""
    paths, walked = [], 0
    for place, _, names in os.walk(folder):
        walked += 1 + len(names)
        if walked > MOST_FILES:
            got = f"a folder of more than {MOST_FILES:,} files and folders"
            raise BadInput(str(folder), "must be a folder of rows", got, "name the folder that holds the Parquet files")
        paths += [Path(place, name) for name in names if name.lower().endswith(".parquet") and not name.startswith((".", "_"))]
    paths = sorted(path for path in paths if path.is_file())
    if not paths:
        there = sorted(path.name for path in folder.iterdir())[:8]
        raise BadInput(str(folder), "must hold Parquet files where a folder is given", there, "name a file")
    number = 0
    for path in paths:
        for _, row in read_rows(path, columns):
            number += 1
            yield number, row
