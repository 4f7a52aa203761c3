"""``igsm verify``: success means that every row was judged, inputs are never overwritten, and a place is refused before the work."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from igsm_pipeline.cli import main

RIGHT = {
    "problem": "The number of each Canvas Rucksack's Sketchbook equals 3.",
    "question": "How many Sketchbook does Canvas Rucksack have?",
    "solution": "Define Canvas Rucksack\u2019s Sketchbook as a; so a = 3.",
    "answer": "#### 3",
}


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def file_of(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def without_answer() -> dict[str, object]:
    return {name: text for name, text in RIGHT.items() if name != "answer"}


def test_what_was_spelled_otherwise_is_told_and_exact_judges_byte_for_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file_of(tmp_path / "a.jsonl", RIGHT, RIGHT)
    assert run("verify", path, "--world", "mini") == 0
    out = capsys.readouterr().out
    assert "2 rows had typographic apostrophes" in out
    assert "2 rows had another form of the answer" in out
    assert run("verify", path, "--world", "mini", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["by_op"][-1]["correct"]["hits"] == 2
    assert found["normalised"]["typographic apostrophes"] == 2
    assert run("verify", path, "--world", "mini", "--exact", "--json") == 0
    assert json.loads(capsys.readouterr().out)["by_op"][-1]["correct"]["hits"] == 0


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([RIGHT], 0),
        ([without_answer()], 0),
        ([], 1),
        ([RIGHT, without_answer()], 1),
        ([RIGHT, {**RIGHT, "answer": None}], 1),
        ([RIGHT, {**RIGHT, "answer": ""}], 1),
        ([RIGHT, {"problem": "x"}], 1),
        ([{"other": 1}], 1),
    ],
    ids=["right", "no answers at all", "empty", "one without answer", "null", "blank", "unreadable", "other keys"],
)
def test_only_a_file_whose_every_row_is_judged_is_a_success(tmp_path: Path, rows: list[dict[str, object]], code: int) -> None:
    assert run("verify", file_of(tmp_path / "a.jsonl", *rows), "--world", "mini") == code


def test_standard_input_and_renamed_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"prompt": f"{RIGHT['problem']} {RIGHT['question']}", "completion": RIGHT["solution"]}
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(json.dumps(row).encode()))))  # type: ignore[arg-type]
    assert run("verify", "-", "--world", "mini", "--column", "problem=prompt", "--column", "solution=completion") == 0
    assert "1 judged, 0 that could not be" in capsys.readouterr().out


@pytest.mark.parametrize("column", ["problem", "problem=", "text=prompt"])
def test_a_column_that_is_no_pair_is_refused(tmp_path: Path, column: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", file_of(tmp_path / "a.jsonl", RIGHT), "--column", column) == 2
    assert "must be FIELD=KEY" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file_of(tmp_path / "a.jsonl", RIGHT)
    before = path.read_bytes()
    (tmp_path / "link.jsonl").symlink_to(path)
    os.link(path, tmp_path / "hard.jsonl")
    for out, word in {
        "a.jsonl": "another file than the input",
        "link.jsonl": "another file than the input",
        "hard.jsonl": "another file than the input",
        "none/b.jsonl": "folder that exists",
        "b.csv": "must end in .jsonl",
        "b": "must end in .jsonl",
        ".": "must be a file",
    }.items():
        assert run("verify", path, "--world", "mini", "--out", tmp_path / out) == 2
        captured = capsys.readouterr()
        assert word in captured.err
        assert captured.out == ""
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.jsonl", "hard.jsonl", "link.jsonl"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
@pytest.mark.parametrize("name", ["b.jsonl", "B.PARQUET"])
def test_verdicts_have_the_permissions_of_any_new_file(tmp_path: Path, mask: int, name: str) -> None:
    path, out = file_of(tmp_path / "a.jsonl", RIGHT, {"problem": "x"}), tmp_path / name
    before = os.umask(mask)
    try:
        assert run("verify", path, "--world", "mini", "--out", out) == 1
    finally:
        os.umask(before)
    assert stat.S_IMODE(out.stat().st_mode) == 0o666 & ~mask
    rows = pq.read_table(out).to_pylist() if name.endswith("PARQUET") else [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["correct"] for row in rows] == [True, None]
    assert sorted(rows[0]["normalised"]) == sorted(
        ["typographic apostrophes", "missing, other or additional white space", "another form of the answer"]
    )
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(["a.jsonl", name])


def test_verdicts_that_fail_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text("[\n")
    assert run("verify", tmp_path / "cut.json", "--out", tmp_path / "b.jsonl") == 2
    assert [one.name for one in tmp_path.iterdir()] == ["cut.json"]
