"""Inspect's logs as rows, without Inspect: a log is a zip of JSON documents (``.eval``) or one JSON document.

Source: the form of logs that inspect-ai 0.3.285 writes (``header.json`` and ``samples/*.json`` in the zip; the same as one object with ``samples`` in
JSON). Its zips may be packed by Zstandard, which Python's ``zipfile`` reads from 3.14 on; Arrow unpacks them here.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from igsm_pipeline.errors import BadInput, NotFound

TASK = "igsm"
_ZSTANDARD = 93
_LOCAL_HEADER = 30
"""Bytes of a zip's local header before the name."""
_WAY_OUT = "name a file that `inspect eval` wrote"
Row = dict[str, Any]


@dataclass(frozen=True)
class Log:
    """One log.

    Attributes:
        path: the file.
        head: everything but the samples.
        samples: one per question, as Inspect wrote them.
    """

    path: Path
    head: Mapping[str, Any]
    samples: Sequence[Mapping[str, Any]]

    @property
    def run(self) -> str:
        """What identifies the run that wrote it."""
        return str(self.head["eval"].get("eval_id") or self.head["eval"].get("run_id") or self.path.name)

    @property
    def is_ours(self) -> bool:
        """Whether it is of the task ``igsm``."""
        return str(self.head["eval"].get("task")).rpartition("/")[2] == TASK

    @property
    def ended(self) -> bool:
        """Whether the run came to its end."""
        return self.head.get("status") == "success"


def read_log(path: Path) -> Log:
    """One log, of whatever task.

    Raises:
        NotFound: there is no such file.
        BadInput: it is no log of Inspect.
    """
    if not path.is_file():
        raise NotFound(f"no log {path}: name files that `inspect eval` wrote")
    try:
        log = _read_zip(path) if zipfile.is_zipfile(path) else _read_json(path)
    except (OSError, ValueError, KeyError, RecursionError, NotImplementedError, zipfile.BadZipFile, pa.ArrowException) as error:
        raise BadInput(str(path), "must be a log of Inspect", str(error)[:80], _WAY_OUT) from error
    if not isinstance(log.head.get("eval"), Mapping) or not isinstance(log.samples, list):
        raise BadInput(str(path), "must be a log of Inspect", f"an object of {', '.join(list(log.head)[:6])}", _WAY_OUT)
    return log


def _read_zip(path: Path) -> Log:
    with zipfile.ZipFile(path) as archive:
        parts = {info.filename: info for info in archive.infolist()}
        head = parts.get("header.json") or parts.get("_journal/start.json")  # a run that was cut off has the second alone
        if head is None:
            raise ValueError("it has no header.json")
        samples = [_document(archive, info) for name, info in sorted(parts.items()) if name.startswith("samples/") and name.endswith(".json")]
        return Log(path, _object(_document(archive, head)), samples)


def _document(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    return json.loads(_unpacked(archive, info) if info.compress_type == _ZSTANDARD else archive.read(info))


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A part that is packed by Zstandard."""
    with open(str(archive.filename), "rb") as stream:
        stream.seek(info.header_offset)
        start = stream.read(_LOCAL_HEADER)
        if len(start) < _LOCAL_HEADER or start[:4] != b"PK\x03\x04":
            raise ValueError(f"{info.filename} is damaged")
        stream.seek(int.from_bytes(start[26:28], "little") + int.from_bytes(start[28:30], "little"), 1)
        packed = stream.read(info.compress_size)
    with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as unpacked:
        return bytes(unpacked.read())


def _read_json(path: Path) -> Log:
    whole = _object(json.loads(path.read_text(encoding="utf-8")))
    return Log(path, {name: value for name, value in whole.items() if name != "samples"}, whole.get("samples") or [])


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"it holds a {type(value).__name__}")
    return value


def answers(log: Log) -> Iterator[Row]:
    """One row per question of a log that was scored, without the column ``run``'s order; see the table ``llm_answers``.

    Raises:
        BadInput: it is of another task, its run did not end, it asks a question several times, or it is not as the task writes it.
    """
    path, asked = str(log.path), log.head["eval"]
    if not log.is_ours:
        raise BadInput(path, f"must be of the task {TASK}", asked.get("task"), "name a log of `inspect eval igsm_pipeline/igsm`")
    if not log.ended:
        raise BadInput(path, "must be of a run that ended", log.head.get("status"), "finish it with `inspect eval-retry`")
    said = asked.get("metadata") or {}
    common = {"run": log.run, "model": str(asked.get("model")), **{name: said.get(name) for name in ("style", "shots", "modulus", "format", "seed")}}
    seen = set()
    for number, sample in enumerate(log.samples):
        scores = {name: score["value"] for name, score in (sample.get("scores") or {}).items()}
        if "right_answer" not in scores:
            continue
        try:
            row = {**common, "question": int(sample["id"]), "op": int(sample["metadata"]["op"]), **_judged(scores)}
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"{path}: sample {number}", "must be as the task writes it", str(error)[:80], "ask again with this version") from None
        if row["question"] in seen:
            raise BadInput(f"{path}: sample {number}", "must ask each question once", f"question {row['question']} twice", "run it with --epochs 1")
        seen.add(row["question"])
        yield row


def _judged(scores: Mapping[str, Any]) -> Row:
    """The verdict; what the style does not judge is None."""
    steps = "fully_correct" in scores
    error = str(scores["first_error"]) if steps else None
    return {
        "right_answer": float(scores["right_answer"]) == 1,
        "fully_correct": float(scores["fully_correct"]) == 1 if steps else None,
        "first_error": None if error == "none" else error,
        "unnecessary_parameters": int(float(scores["unnecessary_parameters"])) if steps else None,
    }
