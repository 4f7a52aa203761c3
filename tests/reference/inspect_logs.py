"""Logs in the form that inspect-ai 0.3.285 writes, made without it: enough of each for what this package reads."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

ZSTANDARD = 93
TIME = (2026, 1, 1, 0, 0, 0)
"""Of every part: the same log has the same bytes whenever it is written."""
Answer = tuple[int, bool, str | None]
"""Operations, whether the answer is right, and the first error (None: fully correct; not asked in the style ``answer``)."""


def log_document(
    model: str,
    answers: Iterable[Answer],
    *,
    style: str = "answer",
    task: str = "igsm_pipeline/igsm",
    status: str = "success",
    run: str = "",
    **said: Any,
) -> dict[str, Any]:
    """A whole log as one object."""
    metadata = {"style": style, "shots": 5, "modulus": 5, "format": "pq", "ops": "2-15", "seed": 0} | said
    head = {"eval_id": run or f"eval of {model} {style}", "task": task, "model": model, "metadata": metadata}
    samples = []
    for number, (op, right, error) in enumerate(answers):
        scores: dict[str, Any] = {"right_answer": {"value": float(right), "answer": "3"}}
        if style == "steps":
            scores["fully_correct"] = {"value": float(error is None)}
            scores["first_error"] = {"value": error or "none"}
            scores["unnecessary_parameters"] = {"value": 1.0 if op > 2 else 0.0}
        samples.append({"id": number, "epoch": 1, "target": "3", "metadata": {"op": op, "problem": "?"}, "scores": scores})
    return {"version": 2, "status": status, "eval": head, "results": {}, "samples": samples}


def write_zip(path: Path, document: dict[str, Any], *, packed: bool = False) -> Path:
    """The log as ``.eval``: a zip of its head and samples.

    Args:
        path: of the file.
        document: the log.
        packed: by Zstandard, as Inspect does it; else by deflate.
    """
    parts = {f"samples/{one['id']}_epoch_{one['epoch']}.json": one for one in document["samples"]}
    parts |= {"_journal/start.json": {"version": 2, "eval": document["eval"]}}
    if document["status"] != "started":
        parts["header.json"] = {name: value for name, value in document.items() if name != "samples"}
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in parts.items():
            data = json.dumps(value).encode()
            info = zipfile.ZipInfo(name, TIME)
            info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            archive.writestr(info, pa.compress(data, codec="zstd", asbytes=True) if packed else data)
        for info in archive.filelist if packed else ():
            info.compress_type = ZSTANDARD  # the directory at the zip's end is written when it is closed
    return path


def write_example(folder: Path) -> Path:
    """A folder of logs: one model asked for answers alone, one step by step."""
    write_zip(folder / "a.eval", log_document("some/model", [(op, op < 4 or n == 0, None) for op in (2, 3, 4) for n in range(4)]), packed=True)
    steps: list[Answer] = [(op, op == 2 or n < 2, None if op == 2 or n < 1 else "wrong_value") for op in (2, 3) for n in range(4)]
    write_zip(folder / "b.eval", log_document("other/model", steps, style="steps"))
    return folder
