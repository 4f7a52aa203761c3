"""Lines that a training appends are read once each, and all of them again where the file is another."""

from __future__ import annotations

import json
import os
from pathlib import Path

from igsm_pipeline.store import write_atomically
from igsm_pipeline.training.curves import GrowingLines


def lines(*steps: int) -> str:
    return "".join(json.dumps({"step": step}) + "\n" for step in steps)


def steps(reader: GrowingLines, path: Path) -> list[int]:
    return [row["step"] for row in reader.read(path)]


def test_whole_lines_are_read_once_and_a_begun_one_when_it_is_whole(tmp_path: Path) -> None:
    path, reader = tmp_path / "lines.jsonl", GrowingLines()
    assert steps(reader, path) == []
    path.write_text(lines(1, 2))
    assert [steps(reader, path), steps(reader, path)] == [[1, 2], []]
    with path.open("a") as stream:
        stream.write(lines(3) + lines(4)[:5])
    assert steps(reader, path) == [3]
    with path.open("a") as stream:
        stream.write(lines(4)[5:] + "no JSON\n" + lines(5))
    assert [steps(reader, path), steps(reader, path)] == [[4], []]


def test_a_file_that_was_replaced_or_cut_is_read_from_its_start(tmp_path: Path) -> None:
    path, reader = tmp_path / "lines.jsonl", GrowingLines()
    path.write_text(lines(1, 2))
    assert steps(reader, path) == [1, 2]
    write_atomically(path, lines(6, 7, 8).encode())
    assert steps(reader, path) == [6, 7, 8]
    os.truncate(path, len(lines(6)))
    assert steps(reader, path) == [6]
    moved = path.rename(tmp_path / "moved.jsonl")
    assert steps(reader, moved) == []
