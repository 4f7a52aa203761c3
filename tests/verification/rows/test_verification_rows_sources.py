"""Every format, packing, layout and kind of data set gives the verdicts of the same rows; what is no file of rows is refused by name."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import math
import os
import random
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from igsm_pipeline.errors import BadInput
from igsm_pipeline.text import render_answer, render_problem, render_question, render_solution
from igsm_pipeline.verification.files import Judging, judge_file, verify_dataset, verify_file, verify_rows
from igsm_pipeline.verification.rows import sources
from igsm_pipeline.verification.rows.columns import Columns
from igsm_pipeline.verification.rows.hints import Sample
from igsm_pipeline.verification.rows.pool import ALONE
from tests.reference.random_problems import PLAIN, random_problem

SEED = 11


def make_rows(number: int) -> list[dict[str, Any]]:
    """Rows of which the third is wrong; the last has line breaks in its solution."""
    rng = random.Random(SEED)
    problems = [random_problem(rng) for _ in range(number)]
    rows = [
        {"problem": render_problem(one), "question": render_question(one), "solution": render_solution(one), "answer": render_answer(one)}
        for one in problems
    ]
    rows[2]["solution"] = "nothing"
    rows[-1]["solution"] = rows[-1]["solution"].replace(". ", ".\n")
    return rows


ROWS = make_rows(6)
EXPECTED = verify_dataset(ROWS, PLAIN)


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def table(rows: list[dict[str, Any]], delimiter: str) -> bytes:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{**row, "more": [1, 2]} for row in rows]), stream, row_group_size=4)
    return stream.getvalue()


def arrow(rows: list[dict[str, Any]]) -> bytes:
    stream = io.BytesIO()
    data = pa.Table.from_pylist(rows)
    with pa.ipc.new_file(stream, data.schema) as writer:
        writer.write_table(data)
    return stream.getvalue()


def zstd(data: bytes) -> bytes:
    stream = pa.BufferOutputStream()
    with pa.CompressedOutputStream(stream, "zstd") as packed:
        packed.write(data)
    return bytes(stream.getvalue())


JSON_COLUMNS = json.dumps({name: [row[name] for row in ROWS] for name in ROWS[0]}).encode()
FILES: dict[str, bytes] = {
    "a.jsonl": lines(ROWS),
    "a.JSONL": b"\xef\xbb\xbf" + lines(ROWS),
    "utf16.jsonl": lines(ROWS).decode().encode("utf-16"),
    "a": lines(ROWS),
    "array.json": json.dumps(ROWS).encode(),
    "pretty.json": json.dumps(ROWS, indent=1).encode(),
    "array.jsonl": json.dumps(ROWS, indent=2).encode(),
    "wrapped.json": json.dumps({"version": "1", "data": ROWS}).encode(),
    "pretty_wrapped.json": json.dumps({"version": "1", "rows": [{"row_idx": 1, "row": row} for row in ROWS]}, indent=1).encode(),
    "columns.json": JSON_COLUMNS,
    "pandas.json": pd.DataFrame(ROWS).to_json().encode(),
    "a.csv": table(ROWS, ","),
    "semicolon.CSV": b"\xef\xbb\xbf" + table(ROWS, ";"),
    "a.tsv": table(ROWS, "\t"),
    "a.parquet": parquet(ROWS),
    "A.PARQUET": parquet(ROWS),
    "a.arrow": arrow(ROWS),
    "a.jsonl.gz": gzip.compress(lines(ROWS)),
    "two.jsonl.gz": gzip.compress(lines(ROWS[:2])) + gzip.compress(lines(ROWS[2:])),
    "a.jsonl.GZ": gzip.compress(lines(ROWS)),
    "a.json.zst": zstd(json.dumps(ROWS).encode()),
    "a.csv.bz2": bz2.compress(table(ROWS, ",")),
    "a.jsonl.xz": lzma.compress(lines(ROWS)),
    "a.parquet.gz": gzip.compress(parquet(ROWS)),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_verdicts(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    assert verify_file(tmp_path / name, PLAIN) == EXPECTED
    assert [one.verdict.correct for one in EXPECTED.judged] == [True, True, False, True, True, True]


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "a.jsonl.gz", "a.csv"])
def test_a_pipe_is_read_as_a_file_is(tmp_path: Path, name: str) -> None:
    pipe = tmp_path / name
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(FILES[name]))
    writer.start()
    assert verify_file(pipe, PLAIN) == EXPECTED
    writer.join()


def test_a_folder_as_large_as_a_disk_is_refused_before_it_is_walked_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    looked_into = []
    walk = os.walk

    def counted(folder: Path) -> Any:
        for place in walk(folder):
            looked_into.append(place[0])
            yield place

    monkeypatch.setattr(sources.os, "walk", counted)
    for folder, number in (("a", 5), ("a/b", 40)):
        for name in range(number):
            (tmp_path / folder / f"{name}.parquet").touch()
    monkeypatch.setattr(sources, "MOST_FILES", 6)
    with pytest.raises(BadInput, match="must be a folder of rows, got 'a folder of more than 6 files and folders'"):
        next(sources.read_rows(tmp_path / "a", Columns({})))
    assert len(looked_into) == 2
    with pytest.raises(BadInput, match="must be a folder of rows"):
        next(sources.read_rows(tmp_path, Columns({})))
    assert len(looked_into) == 4, "of three folders two were enough"


def test_a_folder_of_parquet_is_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-1.parquet").write_bytes(parquet(ROWS[:4]))
    (tmp_path / "data" / "train-2.Parquet").write_bytes(parquet(ROWS[4:]))
    (tmp_path / "README.md").write_text("rows")
    assert verify_file(tmp_path, PLAIN) == EXPECTED
    (tmp_path / "data" / "train-1.parquet").unlink()
    (tmp_path / "data" / "train-2.Parquet").unlink()
    with pytest.raises(BadInput, match="must hold Parquet files"):
        verify_file(tmp_path, PLAIN)


class Table:
    """What a Hugging Face ``Dataset`` gives: rows when iterated."""

    def __iter__(self) -> Any:
        return iter(ROWS)


DATA: dict[str, Callable[[], object]] = {
    "pandas": lambda: pd.DataFrame(ROWS),
    "polars": lambda: pl.DataFrame(ROWS),
    "polars lazy": lambda: pl.DataFrame(ROWS).lazy(),
    "arrow table": lambda: pa.Table.from_pylist(ROWS),
    "arrow batch": lambda: pa.RecordBatch.from_pylist(ROWS),
    "arrow reader": lambda: pa.Table.from_pylist(ROWS).to_reader(),
    "iterated": Table,
    "columns": lambda: {name: [row[name] for row in ROWS] for name in ROWS[0]},
    "generator": lambda: (row for row in ROWS),
}


@pytest.mark.parametrize("kind", DATA)
def test_every_kind_of_data_set_gives_the_same_verdicts(kind: str) -> None:
    assert verify_dataset(DATA[kind](), PLAIN) == EXPECTED


def test_a_gap_in_a_frame_is_a_missing_answer() -> None:
    frame = pd.DataFrame([{**row, "answer": int(row["answer"])} for row in ROWS])
    frame.loc[1, "answer"] = float("nan")
    assert [one.number for one in verify_dataset(frame, PLAIN).refused] == [2]
    assert [one.number for one in verify_dataset(frame.astype({"answer": "Int64"}), PLAIN).refused] == [2]


RENAMED = [{"prompt": row["problem"] + row["question"], "completion": row["solution"], "label": row["answer"]} for row in ROWS]


def test_other_keys_are_refused_with_those_that_are_there_and_taken_when_named(tmp_path: Path) -> None:
    for name, data in {"a.jsonl": lines(RENAMED), "a.parquet": parquet(RENAMED), "a.csv": table(RENAMED, ",")}.items():
        (tmp_path / name).write_bytes(data)
        refused = verify_file(tmp_path / name, PLAIN).refused
        assert len(refused) == len(ROWS)
        for word in ("prompt, completion, label", "--column problem=prompt --column solution=completion --column answer=label"):
            assert word in refused[0].reason
        columns = {"problem": "prompt", "solution": "completion", "answer": "label"}
        assert verify_file(tmp_path / name, PLAIN, columns=columns) == EXPECTED


BROKEN: dict[str, tuple[bytes, str]] = {
    "cut.json": (json.dumps(ROWS, indent=1).encode()[:-40], "must be whole JSON"),
    "number.json": (b"[\n1,\n", "must be whole JSON"),
    "cut.jsonl.gz": (gzip.compress(lines(ROWS))[:-30], "must be a whole file"),
    "a.xlsx": (b"PK\x03\x04rest", "must be JSON lines"),
    "a.bin": (b"\0\1\2", "must be JSON lines"),
    "prose.txt": (b"Once upon a time.\nThere was a row.\n", "must be JSON lines"),
    "latin.csv": ("problem,solution\ncaf\xe9,x\n".encode("latin-1"), "must be in UTF-8"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_file_of_rows_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BROKEN[name][0])
    with pytest.raises(BadInput, match=BROKEN[name][1]) as refused:
        verify_file(tmp_path / name, PLAIN)
    assert name in str(refused.value)


def test_a_line_that_is_none_is_named_and_the_others_judged(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(ROWS[:1]).replace(b"}\n", b"},\n") + lines(ROWS[1:2]) + lines(ROWS[3:4])[:-100])
    found = verify_file(path, PLAIN)
    assert [one.number for one in found.judged] == [2]
    assert [one.number for one in found.refused] == [1, 3]
    assert "take off the comma" in found.refused[0].reason
    assert "the file ends within it" in found.refused[1].reason


def test_several_processes_give_the_same_in_the_same_order(tmp_path: Path) -> None:
    rows = [ROWS[number % len(ROWS)] for number in range(ALONE + 1100)]
    (tmp_path / "a.jsonl").write_bytes(lines(rows))
    samples: tuple[list[Sample], list[Sample]] = ([], [])
    alone, several = (list(judge_file(tmp_path / "a.jsonl", Judging(PLAIN), samples[workers - 1], workers)) for workers in (1, 2))
    assert alone == several
    assert [one.number for one in several] == list(range(1, len(rows) + 1))
    assert samples[0] == samples[1]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"[]", b"{}"], ids=["empty", "blank", "no rows", "no keys"])
def test_a_file_without_rows_has_no_verdict(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.json").write_bytes(data)
    assert verify_file(tmp_path / "a.json", PLAIN).judged == ()


def test_rows_say_their_modulus_and_world_themselves() -> None:
    row: Mapping[str, object] = {
        "problem": " The number of each Canvas Rucksack's Sketchbook equals 3.",
        "question": " How many Sketchbook does Canvas Rucksack have?",
        "solution": " Define Canvas Rucksack's Sketchbook as a; so a = 3.",
        "answer": " 3",
    }
    reasons = {
        "names of the world": row,
        "number below 3": {**row, "world": "mini", "modulus": 3},
        "built-in world": {**row, "world": "../secret.json"},
        "of that content": {**row, "world": "mini", "world_hash": "00"},
        "whole number from 2 to 65536": {**row, "world": "mini", "modulus": "five"},
    }
    for word, other in reasons.items():
        (refused,) = verify_dataset([other]).refused
        assert word in refused.reason
    (right,) = verify_rows([{**row, "world": "mini", "modulus": 5}])
    assert right == next(iter(verify_dataset([{**row, "world": "mini", "modulus": 5}]).judged))


@pytest.mark.parametrize("modulus", [math.inf, -5, 1, 2.5, True, 65537, 10**9, 10**40, "9" * 5000, [], "²"], ids=lambda one: str(one)[:12])
def test_a_modulus_that_is_none_or_larger_than_memory_refuses_its_row(modulus: object) -> None:
    (refused,) = verify_dataset([{"problem": " a", "question": " b", "solution": " c", "modulus": modulus}]).refused
    assert "modulus must be a whole number from 2 to 65536" in refused.reason
    assert len(refused.reason) < 600


@pytest.mark.parametrize("modulus", [10**9, 0])
def test_a_modulus_that_is_none_is_refused_where_the_caller_gives_it(modulus: int) -> None:
    with pytest.raises(BadInput, match="modulus must be a whole number from 2 to 65536"):
        verify_dataset([{"problem": " a", "question": " b", "solution": " c"}], modulus=modulus)
