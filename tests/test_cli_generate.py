"""``igsm generate`` and ``igsm show``: every option does what it says, and what one writes another reads."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from igsm_pipeline.cli import main
from igsm_pipeline.text import parse_problem, render_answer, render_solution
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.toolbox import dataset, law_tables
from igsm_pipeline.world import load_world

FIELDS = [
    "problem",
    "question",
    "solution",
    "answer",
    "op",
    "hash",
    "query",
    "necessary",
    "parents",
    "values",
    "token_ids",
    "modulus",
    "world",
    "world_hash",
]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path / "home"))


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def rows_of(path: Path, *arguments: object) -> list[dict[str, Any]]:
    assert run("generate", "--out", path, *arguments) == 0
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_json_line_holds_one_problem_that_its_own_text_solves(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "a.jsonl", "--num", 6, "--split", "test", "--seed", 2)
    world = load_world("igsm")
    for row in rows:
        assert list(row) == FIELDS
        problem = parse_problem(row["problem"] + row["question"], world)
        assert problem.name(problem.query) == row["query"] == row["necessary"][-1]
        assert set(row["necessary"]) == {problem.name(a) for a in problem.necessary}
        for name in row["necessary"]:
            assert all(row["necessary"].index(parent) < row["necessary"].index(name) for parent in row["parents"][name])
        assert row["parents"] == {problem.name(a): row["parents"][problem.name(a)] for a in sorted(problem.graph)}
        assert {name: set(parents) for name, parents in row["parents"].items()} == {
            problem.name(a): {problem.name(b) for b in problem.parents(a)} for a in problem.graph
        }
        assert row["values"] == {problem.name(a): problem.values[a] for a in problem.graph}
        assert row["answer"] == render_answer(problem) == f" {row['values'][row['query']]}"
        assert row["op"] == row["solution"].count(";") == render_solution(problem.solved()).count(";")
        assert 17 <= row["hash"] <= 22


def test_ids_of_both_vocabularies_are_of_one_document(tmp_path: Path) -> None:
    (gpt2,) = rows_of(tmp_path / "a.jsonl", "--num", 1)
    (compact,) = rows_of(tmp_path / "b.jsonl", "--num", 1, "--vocab", "compact")
    table = build_table(load_world("igsm"), 23, TokenSettings(vocab="compact"))
    assert gpt2["token_ids"] == table.to_gpt2[compact["token_ids"]].tolist() != compact["token_ids"]
    assert table.decode(compact["token_ids"]) == gpt2["problem"] + gpt2["question"] + gpt2["solution"] + gpt2["answer"]
    assert [one for one in gpt2["token_ids"] if one in (222, 223, 224, 50256)] == [222, 223, 224, 50256]


def test_parquet_holds_the_rows_of_json_lines(tmp_path: Path) -> None:
    options = ("--num", 5, "--family", "hard", "--law", "exact", "--op", 7, "--split", "all")
    rows = rows_of(tmp_path / "a.jsonl", *options)
    implied = [word for word in options if word not in ("--law", "exact")]  # the number of operations says it
    assert run("generate", "--out", tmp_path / "a.parquet", "--format", "parquet", *implied) == 0
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column_names == FIELDS
    assert [as_mappings(row) for row in table.to_pylist()] == rows
    assert {row["op"] for row in rows} == {7}


def as_mappings(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a Parquet file as JSON lines have it."""
    parents = {one["name"]: list(one["parents"]) for one in row["parents"]}
    return {**row, "parents": parents, "values": {one["name"]: one["value"] for one in row["values"]}}


def test_polars_pandas_and_datasets_read_the_parquet_file(tmp_path: Path) -> None:
    rows, path = rows_of(tmp_path / "a.jsonl", "--num", 5), tmp_path / "a.parquet"
    assert run("generate", "--out", path, "--num", 5) == 0
    assert [as_mappings(row) for row in pl.read_parquet(path).to_dicts()] == rows
    assert pd.read_parquet(path)["values"][0][0] == {"name": next(iter(rows[0]["values"])), "value": next(iter(rows[0]["values"].values()))}
    datasets = pytest.importorskip("datasets")
    read = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert [as_mappings(row) for row in read] == rows


def test_files_with_maps_of_an_older_version_are_still_judged(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "a.jsonl", "--num", 3)
    kinds = {"parents": pa.map_(pa.string(), pa.list_(pa.string())), "values": pa.map_(pa.string(), pa.int32())}
    columns = {name: pa.array([list(row[name].items()) for row in rows], kind) for name, kind in kinds.items()}
    plain = pa.Table.from_pylist([{name: value for name, value in row.items() if name not in kinds} for row in rows])
    old = tmp_path / "old.parquet"
    pq.write_table(pa.table({**{name: plain[name] for name in plain.column_names}, **columns}), old)
    assert run("verify", old, "--out", tmp_path / "verdicts.jsonl") == 0
    assert [json.loads(line)["correct"] for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()] == [True] * 3


def test_fewer_problems_are_the_first_of_more(tmp_path: Path) -> None:
    assert rows_of(tmp_path / "a.jsonl", "--num", 2) == rows_of(tmp_path / "b.jsonl", "--num", 4)[:2]
    assert rows_of(tmp_path / "a.jsonl", "--num", 2) != rows_of(tmp_path / "b.jsonl", "--num", 2, "--seed", 1)


def test_a_family_file_and_a_loose_world_are_taken(tmp_path: Path) -> None:
    document = json.loads((Path(__file__).parents[1] / "igsm_pipeline" / "world" / "mini.json").read_text())
    items = next(iter(document["hierarchies"][0]["layers"][0]["subcategories"].values()))
    items[0] = "Trader Joe's"
    world, family = tmp_path / "world.json", tmp_path / "family.yaml"
    world.write_text(json.dumps(document))
    family.write_text("{op_max: 3, ip_max: 6, modulus: 7, op_law: uniform, format: qp, split_by: problem}")
    assert run("generate", "--world", world, "--family", family) == 2
    rows = rows_of(tmp_path / "a.jsonl", "--world", world, "--lenient", "--family", family, "--num", 40)
    assert any("Trader Joe's" in row["problem"] for row in rows)
    assert {row["op"] for row in rows} == {1, 2, 3}
    assert all(value < 7 for row in rows for value in row["values"].values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--law", "exact"), "needs an op"),
        (("--law", "range", "--op", "3"), "law range takes none"),
        (("--law", "exact", "--op", "60"), "less than or equal to 52"),
        (("--format", "parquet"), "must be given with --format parquet"),
        (("--world", "nowhere.json"), "nowhere.json"),
        (("--family", "huge"), "must be med, hard or a YAML file"),
    ],
)
def test_what_cannot_be_is_refused_in_one_message(options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", *options) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_refused_set_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows_of(path, "--num", 1)
    before = path.read_bytes()
    assert run("generate", "--out", path, "--law", "exact") == 2
    assert path.read_bytes() == before


def test_tables_give_the_means_of_the_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = rows_of(tmp_path / "a.jsonl", "--num", 50)
    assert run("generate", "--num", 50, "--tables", "--out", tmp_path / "a.json") == 0
    found = json.loads((tmp_path / "a.json").read_text())
    means = {name: both["mean"] for name, both in found["statistics"].items()}
    assert means["op"] == pytest.approx(np.mean([row["op"] for row in rows]))
    assert means["tokens"] == pytest.approx(np.mean([len(row["token_ids"]) for row in rows]))
    assert means["parameters"] == pytest.approx(np.mean([len(row["parents"]) for row in rows]))
    assert means["statements"] == pytest.approx(np.mean([row["problem"].count(".") for row in rows]))
    capsys.readouterr()
    assert run("generate", "--num", 50, "--tables") == 0
    assert f"| tokens | {means['tokens']:.3f} |" in capsys.readouterr().out


def test_show_prints_the_row_that_generate_writes_and_finds_it_again_by_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = rows_of(tmp_path / "a.jsonl", "--num", 4, "--split", "test")
    capsys.readouterr()
    assert run("show", "--number", 3) == 0
    shown = capsys.readouterr().out
    flat = " ".join(shown.replace("│", " ").split())
    assert rows[3]["question"].strip() in flat
    assert rows[3]["solution"].strip()[:40] in flat
    key = shown.splitlines()[0].split()[-1]
    assert run("show", "--key", key) == 0
    assert capsys.readouterr().out == shown
    assert run("show", "--key", "zero") == 2
    assert "must be BLOCK:DRAW" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_several_processes_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(dataset, "_ALONE", 1)
    monkeypatch.setattr(dataset, "_PART", 7)
    for jobs in (1, 2):
        (tmp_path / str(jobs)).mkdir()
        assert run("generate", "--num", 50, "--seed", 4, "--jobs", jobs, "--out", tmp_path / str(jobs) / name) == 0
    assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_rows_say_modulus_and_world_and_verify_judges_them_by_these(tmp_path: Path) -> None:
    family = tmp_path / "family.yaml"
    family.write_text("{op_max: 3, ip_max: 6, modulus: 7, op_law: uniform, split_by: problem}")
    rows = rows_of(tmp_path / "a.jsonl", "--world", "mini", "--family", family, "--num", 30)
    assert {(row["modulus"], row["world"], row["world_hash"]) for row in rows} == {(7, "mini", load_world("mini").content_hash)}
    verdicts = tmp_path / "verdicts.jsonl"
    assert run("verify", tmp_path / "a.jsonl", "--out", verdicts) == 0
    assert all(json.loads(line)["correct"] for line in verdicts.read_text().splitlines())


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("none/a.jsonl", (), "folder that exists"),
        ("a.txt", (), "must end in .jsonl"),
        ("a", (), "must end in .jsonl"),
        ("a.parquet", ("--format", "jsonl"), "must end as the format jsonl does"),
        ("a.jsonl", ("--format", "parquet"), "must end as the format parquet does"),
        (".", (), "must be a file"),
        ("none/a.json", ("--tables",), "folder that exists"),
        ("a.txt", ("--tables",), "must end in .md or .json"),
    ],
)
def test_a_file_that_cannot_be_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: str, options: tuple[str, ...], message: str
) -> None:
    for module in (dataset, law_tables):
        monkeypatch.setattr(module, "generate", None)
    assert run("generate", "--out", tmp_path / out, *options) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mask", [0o022, 0o077])
@pytest.mark.parametrize("name", ["a.jsonl", "A.Parquet"])
def test_a_file_has_the_permissions_of_any_new_file(tmp_path: Path, mask: int, name: str) -> None:
    before = os.umask(mask)
    try:
        assert run("generate", "--num", 1, "--out", tmp_path / name) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o666 & ~mask
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes().startswith(b"PAR1" if name.endswith("Parquet") else b"{")


def test_a_file_that_the_disk_cannot_hold_is_refused_by_what_its_first_problems_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("igsm_pipeline.toolbox.dataset._TOLD", 512)
    monkeypatch.setattr("igsm_pipeline.toolbox.dataset.shutil.disk_usage", lambda _: SimpleNamespace(free=1e9))
    with pytest.raises(SystemExit) as ended:
        main(["generate", "--world", "mini", "--num", "1000000000", "--out", str(tmp_path / "huge.jsonl")])
    assert ended.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "GB free for the other 999,99" in said
    assert "got '1.0 GB'; ask for fewer" in said
    assert list(tmp_path.iterdir()) == []
