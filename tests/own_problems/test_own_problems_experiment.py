"""An experiment on a file of one's own: planned, refused before anything is computed, and run from the file to the report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from reference.few_problems import DATA_STAGES, failures, few_problems, write_few

from igsm_pipeline.cli import main
from igsm_pipeline.errors import BadInput, BadSettings
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.planning.planner import find_unit, plan
from igsm_pipeline.planning.preflight import check_plan
from igsm_pipeline.store import Store
from igsm_pipeline.text import document
from igsm_pipeline.world import load_world

FAMILY = {"op_max": 3, "ip_max": 6, "modulus": 5, "split_by": "problem", "op_law": "uniform"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    return tmp_path


def write_file(path: Path, number: int = 160, op_max: int = 4) -> Path:
    """Rows with and without solutions, as somebody may bring them."""
    from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block  # noqa: PLC0415

    family = FamilySettings.parse(FAMILY | {"op_max": op_max}, "test")
    asked = ProblemSetSettings(family=family, num_problems=number, block_size=number, split="all", seed=5, stream="mine")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        for index, problem in enumerate(generate_block(asked, load_world("mini"), 0)):
            text = document(problem, "pq")
            row = {"problem": text.prompt, "answer": text.answer.strip(), "solution": text.solution if index % 2 else None}
            stream.write(json.dumps(row) + "\n")
    return path


def own(**more: Any) -> dict[str, Any]:
    experiment = few_problems(24, **FAMILY) | {"problems": {"source": "mine.jsonl"}} | more
    return {name: value for name, value in experiment.items() if name != "llm_evaluations"}


def test_every_problem_set_is_taken_from_the_file_and_passes_its_checks(home: Path) -> None:
    write_file(home / "experiments" / "mine.jsonl")
    assert failures(home, own(), ("world", "own_problems", *DATA_STAGES[1:])) == []
    member, store = find_member("few"), Store.at_home()
    manifest = store.manifest(find_unit(member, "own_problems", "own_problems"))
    counts = manifest["counts"]
    assert (counts["problems"], counts["own_solutions"], counts["resaid"]) == (160, 80, 0)
    assert counts["train"] + counts["test"] + counts["in_neither"] == 160
    assert "mine.jsonl" not in json.dumps(manifest["settings"])
    rows: dict[str, set[int]] = {}
    for unit in units_of(member):
        if unit.stage == "problem_sets":
            rows[unit.name] = set(pq.read_table(store.path(unit) / "problems-00000.parquet")["draw"].to_pylist())
            assert len(rows[unit.name]) == store.manifest(unit)["counts"]["problems"] <= unit.settings["num_problems"]
    assert not rows["train"] & (rows["op<=max"] | rows["op=max"] | rows["reask"] | rows["by_op"] | rows["monitor"])
    assert not rows["train"] & rows["probe_train"]


def test_units_of_drawn_problems_stay_what_they_were_and_a_file_is_known_by_its_content(home: Path) -> None:
    path = write_file(home / "experiments" / "mine.jsonl")
    write_few(home, {name: value for name, value in own().items() if name != "problems"})
    drawn = {(unit.stage, unit.name): unit for unit in units_of(find_member("few"))}
    assert not [stage for stage, _ in drawn if stage == "own_problems"]
    write_few(home, own())
    taken = {(unit.stage, unit.name): unit for unit in units_of(find_member("few"))}
    assert taken.keys() - drawn.keys() == {("own_problems", "own_problems")}
    assert [key for key in drawn if drawn[key] == taken[key]] == [("world", "world")] + [key for key in drawn if key[0] == "control"]
    path.rename(path.with_name("other.jsonl"))
    write_few(home, own(problems={"source": "other.jsonl"}))
    assert {(unit.stage, unit.name): unit for unit in units_of(find_member("few"))} == taken
    with path.with_name("other.jsonl").open("a") as stream:
        stream.write(json.dumps({"problem": "?"}) + "\n")
    assert find_unit(find_member("few"), "own_problems", "own_problems") != taken["own_problems", "own_problems"]


def test_a_plan_is_refused_before_anything_is_computed(home: Path) -> None:
    path = write_file(home / "experiments" / "mine.jsonl", op_max=3)

    def refused(words: str, kind: type[Exception] = BadSettings, **more: Any) -> None:
        write_few(home, own(**more))
        with pytest.raises(kind, match=words):
            check_plan(plan(find_member("few"), Store.at_home()), Store.at_home())

    slices = own()["evaluation"] | {"slices": ["op<=max", "op=max+1"]}
    refused(
        r"evaluation\.slices: op=max\+1 must ask for problems that the file of problems\.source has, got 'none of op 4 in the test split.*leave",
        evaluation=slices, probes=own()["probes"] | {"slices": ["op<=max"]},
    )  # fmt: skip
    refused(r"shards\.streaming must be false where problems\.source names a file of problems, got .*set it to false", shards={"streaming": True})
    refused(r"problems\.source must be a file of problems, got '.*lost\.jsonl'", problems={"source": "lost.jsonl"})
    with path.open("a") as stream:
        stream.write(json.dumps({"problem": " How many?"}) + "\n")
    refused(r"mine\.jsonl: row 161: ", BadInput, evaluation=own()["evaluation"] | {"slices": ["op<=max"]}, interchange={"pairs": 0})


@pytest.mark.slow
def test_an_experiment_on_a_file_runs_from_it_to_the_report_and_its_tables_are_of_its_rows(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_file(home / "experiments" / "mine.jsonl", 240)
    experiment = own(interchange={"pairs": 4})
    experiment["probes"] |= {"tasks": ["nece", "can_next"]}
    write_few(home, experiment)
    subprocess.run([sys.executable, "-m", "igsm_pipeline.running", "run", "few"], check=True, stdout=subprocess.DEVNULL)
    member, store = find_member("few"), Store.at_home()
    assert plan(member, store).stale == ()
    made = {unit.stage for unit in plan(member, store).units}
    assert made == STAGES.keys() - {"llm_evaluations"}
    report = (store.path(find_unit(member, "report", "report")) / "report.html").read_text()
    assert "few" in report
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["sql", "SELECT set, count(*) AS n FROM problems GROUP BY set ORDER BY set", "--format", "csv"])
    assert ended.value.code == 0
    listed = dict(line.split(",") for line in capsys.readouterr().out.splitlines()[1:])
    assert {"train", "probe_train", "reask", "by_op"} <= {name.strip('"') for name in listed}
    assert int(listed["train"]) == 24
