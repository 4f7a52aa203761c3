"""The terminal: what one command writes another accepts, and refusals are one line and exit code 2."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from igsm_pipeline.catalog import catalog
from igsm_pipeline.cli import main
from igsm_pipeline.errors import StoreError
from igsm_pipeline.running.__main__ import main as library
from igsm_pipeline.toolbox import doctor


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path / "home"))


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_solutions_that_generate_writes_are_right_for_verify_and_a_changed_answer_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "problems.jsonl"
    assert run("generate", "--num", "3", "--law", "exact", "--op", "3", "--seed", "4", "--out", str(path)) == 0
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["op"] for row in rows] == [3, 3, 3]
    rows[1]["answer"] = f" {(int(rows[1]['answer']) + 1) % 23}"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    capsys.readouterr()
    assert run("verify", str(path), "--out", str(tmp_path / "verdicts.jsonl")) == 0
    out = capsys.readouterr().out
    assert "0.6667" in next(line for line in out.splitlines() if line.split()[:1] == ["all"])
    verdicts = [json.loads(line) for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    assert [row["error"] for row in verdicts] == [None, "wrong_answer", None]
    path.write_text(path.read_text() + "no row\n")
    assert run("verify", str(path)) == 1
    assert "row 4: line must be JSON" in capsys.readouterr().out


def test_a_family_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", "--family", "huge") == 2
    assert "must be med, hard or a YAML file" in capsys.readouterr().err


def test_a_query_that_duckdb_cannot_read_is_refused_and_one_it_can_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sql", "selct") == 2
    capsys.readouterr()
    assert run("sql", "SELECT 6 * 7 AS a", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == {"a": 42}


def test_a_catalog_that_cannot_be_refreshed_still_answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sql", "SHOW TABLES", "--format", "csv") == 0
    before = capsys.readouterr().out

    def refuse(*_: object) -> None:
        raise StoreError("read-only")

    monkeypatch.setattr(catalog, "build_catalog", refuse)
    assert run("sql", "SHOW TABLES", "--format", "csv") == 0
    out, err = capsys.readouterr()
    assert out == before
    assert "as it lies: read-only" in err


def test_doctor_names_a_disk_that_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 1 << 62)
    bad = [finding.what for finding in doctor.examine() if not finding.good]
    assert bad == ["data root"]


def test_units_travel_to_another_data_root_and_gc_finds_nothing_but_what_no_experiment_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there, tar = tmp_path / "home", tmp_path / "there", tmp_path / "units.tar"
    for home in (here, there):
        (home / "experiments").mkdir(parents=True)
        (home / "experiments" / "mine.yaml").write_text("base: mini\n")
    assert library(["run", "mine", "--stage", "world"]) == 0
    assert run("export", "mine", "--out", str(tar)) == 0
    monkeypatch.setenv("IGSM_HOME", str(there))
    assert run("import", str(tar)) == 0
    assert run("import", str(tar)) == 0
    assert "0 added, 1 already here, 0 kept" in capsys.readouterr().err
    assert run("gc", "--yes") == 0
    assert "removed 0 folders" in capsys.readouterr().out
    assert library(["run", "mine", "--stage", "world"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["hit"] == 1, "it need not be computed here"
    (there / "experiments" / "mine.yaml").unlink()
    orphan = next((there / "store" / "world").glob("*/manifest.json")).parent
    (orphan.parent / f"{'0' * 20}").mkdir()
    assert run("gc") == 0
    assert "0" * 20 in capsys.readouterr().out
    assert run("gc", "--yes") == 0
    assert not (orphan.parent / f"{'0' * 20}").exists()
    assert orphan.exists(), "mini asks for the same world"


def test_nothing_is_removed_while_an_experiment_file_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "home" / "experiments").mkdir(parents=True)
    (tmp_path / "home" / "experiments" / "mine.yaml").write_text("family: {op_max: many}\n")
    (tmp_path / "home" / "store" / "world" / ("0" * 20)).mkdir(parents=True)
    assert run("gc", "--yes") == 2
    assert "mine.yaml: family.op_max" in capsys.readouterr().err
    assert (tmp_path / "home" / "store" / "world" / ("0" * 20)).exists()


FAR = "a" * 400
NAMING = (
    f"world: {{source: {FAR}}}",
    f"model: {{path: {FAR}}}",
    f"training: {{start: {FAR}}}",
    f"problems: {{source: {FAR}}}",
    "world: {source: pipe.json}",
)


@pytest.mark.parametrize("changes", [*NAMING, f"llm_evaluations: {{logs: {FAR}}}"])
def test_a_file_that_the_system_cannot_open_costs_only_the_experiment_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: str
) -> None:
    (tmp_path / "home" / "experiments").mkdir(parents=True)
    os.mkfifo(tmp_path / "home" / "experiments" / "pipe.json")
    (tmp_path / "home" / "experiments" / "mine.yaml").write_text(f"base: mini\n{changes}\n")
    for words in (("status",), ("gc",), ("sql", "SELECT 1")):
        assert run(*words) == 0, words
    assert "left out: " in capsys.readouterr().err
    assert run("plan", "mine") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "mine.yaml must name files that can be read, got 'File name too long: " in line or "must be a file, got 'a pipe'" in line


def test_a_broken_file_is_named_by_status_and_hides_no_other_member(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "home" / "experiments").mkdir(parents=True)
    (tmp_path / "home" / "experiments" / "mine.yaml").write_text("family: {op_max: many}\n")
    assert run("status") == 0
    out, err = capsys.readouterr()
    assert "mini" in out
    assert "left out:" in err
    assert "mine.yaml: family.op_max" in err
