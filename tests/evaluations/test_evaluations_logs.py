"""Logs of Inspect are read without it; answers become shares that can be counted by hand; what is no log is refused by name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reference.few_problems import few_problems, write_few
from reference.inspect_logs import log_document, write_example, write_zip

from igsm_pipeline.errors import BadInput, BadSettings, NotFound
from igsm_pipeline.evaluations.checks import correct_ones, every_answer
from igsm_pipeline.evaluations.logs import answers, read_log
from igsm_pipeline.evaluations.settings import LogSettings, logs_hash
from igsm_pipeline.evaluations.shares import shares_by_op
from igsm_pipeline.evaluations.stage import ANSWERS, BY_OP
from igsm_pipeline.evaluations.write import read_folder, write_evaluations
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.planning.planner import plan
from igsm_pipeline.planning.preflight import check_plan
from igsm_pipeline.store import Store, Writing


def test_a_zip_of_either_packing_and_a_json_log_say_the_same(tmp_path: Path) -> None:
    document = log_document("some/model", [(2, True, None), (9, False, "parse")], style="steps")
    (tmp_path / "log.json").write_text(json.dumps(document))
    paths = [
        write_zip(tmp_path / "packed.eval", document, packed=True), write_zip(tmp_path / "plain.eval", document), tmp_path / "log.json",
    ]  # fmt: skip
    rows = [list(answers(read_log(path))) for path in paths]
    assert rows[0] == rows[1] == rows[2]
    assert [row["op"] for row in rows[0]] == [2, 9]
    assert rows[0][1] | {"run": ""} == {
        "run": "", "model": "some/model", "style": "steps", "shots": 5, "modulus": 5, "format": "pq", "seed": 0, "question": 1, "op": 9,
        "right_answer": False, "fully_correct": False, "first_error": "parse", "unnecessary_parameters": 1,
    }  # fmt: skip
    assert "inspect_ai" not in sys.modules


def test_shares_are_those_counted_by_hand(tmp_path: Path) -> None:
    rows, counts = read_folder(sorted(write_example(tmp_path / "logs").iterdir()))
    assert counts == {"answers": 20, "logs": 2, "other_tasks": 0, "unfinished": 0}
    shares = {(row["model"], row["measure"], row["op"]): (row["n"], row["share"]) for row in shares_by_op(rows)}
    assert shares == {
        ("some/model", "right_answer", None): (12, 9 / 12),
        ("some/model", "right_answer", 2): (4, 1.0),
        ("some/model", "right_answer", 3): (4, 1.0),
        ("some/model", "right_answer", 4): (4, 0.25),
        ("other/model", "right_answer", None): (8, 6 / 8),
        ("other/model", "right_answer", 2): (4, 1.0),
        ("other/model", "right_answer", 3): (4, 0.5),
        ("other/model", "fully_correct", None): (8, 5 / 8),
        ("other/model", "fully_correct", 2): (4, 1.0),
        ("other/model", "fully_correct", 3): (4, 0.25),
    }
    quarter = next(row for row in shares_by_op(rows) if row["share"] == 0.25)
    assert 0.04 < quarter["share_low"] < 0.05
    assert 0.69 < quarter["share_high"] < 0.71


def test_formats_are_told_apart_and_a_question_that_is_asked_again_counts_once() -> None:
    asked = {"model": "m", "style": "answer", "shots": 5, "modulus": 5, "seed": 0, "op": 2, "fully_correct": None}
    runs = [("first", "pq", True), ("second", "qp", False), ("third", "pq", False), ("fourth", "qp", True)]
    rows = [{**asked, "run": run, "format": form, "question": number, "right_answer": right} for run, form, right in runs for number in range(50)]
    other = [{**asked, "run": "other seed", "format": "pq", "seed": 1, "question": number, "right_answer": False} for number in range(50)]
    shares = {(row["format"], row["op"]): (row["n"], row["share"]) for row in shares_by_op([*rows, *other])}
    assert shares == {("pq", None): (100, 0.5), ("pq", 2): (100, 0.5), ("qp", None): (50, 0.0), ("qp", 2): (50, 0.0)}


def test_other_tasks_and_unfinished_runs_are_left_out_and_counted_and_a_run_counts_once(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "logs")
    before, _ = read_folder(sorted(folder.iterdir()))
    write_zip(folder / "c.eval", log_document("x", [(2, True, None)], task="gsm8k"))
    write_zip(folder / "d.eval", log_document("x", [(2, True, None)], status="started"))
    (folder / "0.eval").write_bytes((folder / "b.eval").read_bytes())
    rows, counts = read_folder(sorted(folder.iterdir()))
    assert rows == before
    assert counts == {"answers": 20, "logs": 2, "other_tasks": 1, "unfinished": 1}


def test_what_is_no_log_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"none\.eval"):
        read_log(tmp_path / "none.eval")
    for name, data in (("text.eval", b"nothing"), ("list.json", b"[]"), ("row.json", b'{"a": 1}'), ("deep.json", b"[" * 100_000)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadInput, match=rf"{name} must be a log of Inspect"):
            read_log(tmp_path / name)
    broken = write_zip(tmp_path / "broken.eval", log_document("x", [(2, True, None)] * 3), packed=True)
    data = broken.read_bytes()
    at = data.index(b"samples/1_epoch_1.json") + 30
    broken.write_bytes(data[:at] + b"\0" * 40 + data[at + 40 :])
    with pytest.raises(BadInput, match=r"broken\.eval must be a log of Inspect"):
        read_log(broken)
    twice = log_document("x", [(2, True, None)] * 2)
    twice["samples"][1] |= {"id": 0, "epoch": 2}
    with pytest.raises(BadInput, match="must ask each question once, got 'question 0 twice'"):
        read_folder([write_zip(tmp_path / "twice.eval", twice)])
    with pytest.raises(BadInput, match=r"llm_evaluations\.logs must hold a log of the task igsm that ended, got '1 of other tasks, 0 unfinished'"):
        read_folder([write_zip(tmp_path / "other.eval", log_document("x", [], task="gsm8k"))])


def test_the_stage_writes_both_tables_and_its_checks_see_what_they_are_for(tmp_path: Path) -> None:
    logs = write_example(tmp_path / "logs")
    folder = tmp_path / "unit"
    folder.mkdir()
    writing = Writing(folder, False)
    write_evaluations(LogSettings(logs=str(logs), content=logs_hash(logs)), {}, writing)
    assert writing.counts["answers"] == 20
    for table in (ANSWERS, BY_OP):
        assert pq.read_schema(folder / table.files) == table.schema()
    run = SimpleNamespace(folders=lambda: [folder])
    assert every_answer(run).passed
    assert correct_ones(run).passed
    shares = pq.read_table(folder / BY_OP.files).to_pylist()
    pq.write_table(pa.Table.from_pylist(shares[:-1], BY_OP.schema()), folder / BY_OP.files)
    assert "no row" in every_answer(run).message
    pq.write_table(pa.Table.from_pylist([{**shares[0], "share": 0.5}, *shares[1:]], BY_OP.schema()), folder / BY_OP.files)
    assert not every_answer(run).passed
    rows = pq.read_table(folder / ANSWERS.files).to_pylist()
    rows[0] = {**rows[0], "fully_correct": True, "first_error": "parse"}
    pq.write_table(pa.Table.from_pylist(rows, ANSWERS.schema()), folder / ANSWERS.files)
    assert "1 answers have verdicts that contradict" in correct_ones(run).message
    with pytest.raises(BadSettings, match="must still hold logs of content"):
        write_evaluations(LogSettings(logs=str(logs), content="0" * 20), {}, writing)


def test_a_member_has_it_if_it_names_logs_and_knows_them_by_what_they_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    experiment = {name: value for name, value in few_problems(8).items() if name != "llm_evaluations"}
    write_few(tmp_path, experiment)
    plain = units_of(find_member("few"))
    logs = write_example(tmp_path / "experiments" / "logs")
    write_few(tmp_path, experiment | {"llm_evaluations": {"logs": "logs"}})
    more = units_of(find_member("few"))
    assert {unit.stage for unit in more} - {unit.stage for unit in plain} == {"llm_evaluations"}
    assert {unit.fingerprint for unit in plain if unit.stage != "report"} < {unit.fingerprint for unit in more}
    (unit,) = (unit for unit in more if unit.stage == "llm_evaluations")
    (logs / "a.eval").rename(logs / "other name.eval")
    assert units_of(find_member("few")) == more
    write_zip(logs / "c.eval", log_document("third/model", [(2, True, None)]))
    assert next(one for one in units_of(find_member("few")) if one.stage == "llm_evaluations") != unit
    (logs / "c.eval").write_text("cut")
    with pytest.raises(BadInput, match=r"c\.eval must be a log of Inspect"):
        check_plan(plan(find_member("few"), Store.at_home(), ["llm_evaluations"]), Store.at_home())
    for path in list(logs.iterdir()):
        path.unlink()
    with pytest.raises(BadSettings, match=r"llm_evaluations\.logs must hold logs that Inspect wrote"):
        units_of(find_member("few"))
