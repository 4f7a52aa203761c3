"""The stage ``probe_controls``: what it writes of a small model, what its check refuses, and where a member has it."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reference.few_problems import few_problems, write_few

from igsm_pipeline.experiments import find_member
from igsm_pipeline.experiments.slices import PROBE_TRAIN
from igsm_pipeline.intervals.bootstrap import balanced_accuracy_of, class_statistics
from igsm_pipeline.knowledge import write as written
from igsm_pipeline.knowledge.checks import permuted_is_chance
from igsm_pipeline.knowledge.settings import ProbeControlSettings
from igsm_pipeline.knowledge.stage import CODED, CONTROLLED
from igsm_pipeline.knowledge.write import Answer, score_readers
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.running.runner import run_units
from igsm_pipeline.store import Store, Writing

TASKS = ["known", "value"]
READERS = {"v_probe", "random", "text", "control_task", "no_layers", "permuted"}


def experiment(**knowledge: Any) -> dict[str, Any]:
    made = few_problems(24) | {"knowledge": knowledge, "steering": {"problems": 0}}
    made["probes"] |= {"tasks": TASKS, "num_steps": 5, "batch_problems": 8, "slice_problems": 24, "slices": ["op<=max"], "prior": "uniform"}
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("knowledge")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IGSM_HOME", str(home))
        patch.delenv("IGSM_EXPERIMENTS", raising=False)
        write_few(home, experiment(controls=["control_task", "no_layers", "permuted"]))
        member, store = find_member("few"), Store.at_home()
        for stage in ("world", "problem_sets", "token_shards", "checkpoint", "control", "probe_queries", "v_probes", "text_probes", "probe_controls"):
            run_units(member, stage, store)
        units = {(unit.stage, unit.name): unit for unit in units_of(member)}
        folder = store.path(units["probe_controls", "probe_controls"])
        yield SimpleNamespace(
            folder=folder, store=store, units=units, scores=pq.read_table(folder / CONTROLLED.files), codes=pq.read_table(folder / CODED.files)
        )


def test_every_task_has_every_reader_on_the_same_queries(made: Any) -> None:
    assert made.scores.schema == CONTROLLED.schema()
    rows = made.scores.to_pylist()
    assert {(row["task"], row["reader"]) for row in rows if row["subset"] == "all"} == {(task, reader) for task in TASKS for reader in READERS}
    for task in TASKS:
        counts = {row["n"] for row in rows if row["task"] == task and row["subset"] == "all"}
        asked = pq.read_table(made.store.path(made.units["probe_queries", "op<=max"]) / f"queries-{task}.parquet")
        assert counts == {len(asked)}
    assert {row["reader"] for row in rows if row["gain"] is None} == {"v_probe"}


def test_of_the_control_task_those_types_count_apart_that_were_taught(made: Any) -> None:
    rows = {(row["task"], row["subset"]): row for row in made.scores.to_pylist() if row["reader"] == "control_task"}
    for task in TASKS:
        assert 0 < rows[task, "learned"]["n"] < rows[task, "all"]["n"]


def test_codes_are_of_what_was_read_and_that_of_shares_is_no_longer_than_that_of_a_probe_without_a_chance(made: Any) -> None:
    assert made.codes.schema == CODED.schema()
    rows = {(row["task"], row["reader"]): row for row in made.codes.to_pylist() if row["share"] == 1.0}
    assert {reader for _, reader in rows} == READERS - {"text"} | {"shares"}
    for task in TASKS:
        assert len({rows[task, reader]["n"] for reader in READERS - {"text"}}) == 1
        assert rows[task, "v_probe"]["longer"] == 0.0
        assert rows[task, "shares"]["compression"] >= 0.99


def test_the_shares_that_a_uniform_prior_takes_out_are_told_before_the_first_answer(made: Any) -> None:
    for task, classes in (("known", 2), ("value", 6)):
        losses = pq.read_table(made.store.path(made.units["v_probes", f"{task} trained"]) / "losses.parquet")["loss"].to_pylist()
        number = len(pq.read_table(made.store.path(made.units["probe_queries", PROBE_TRAIN]) / f"queries-{task}.parquet"))
        told = (classes - 1) * math.log2(number + 1)
        first = min((row for row in made.codes.to_pylist() if (row["task"], row["reader"]) == (task, "v_probe")), key=lambda row: row["share"])
        asked = first["n"] * losses[0] / math.log(2)
        assert first["bits"] == pytest.approx(asked + told, rel=1e-6)


def test_a_gain_is_the_difference_of_two_scores_and_subsets_compare_like_with_like() -> None:
    print("seed 1")
    random = np.random.default_rng(1)
    label, problem = random.integers(0, 2, 400), np.repeat(np.arange(40), 10)
    said, other = np.where(random.random(400) < 0.9, label, 1 - label), random.integers(0, 2, 400)
    counted = np.arange(400) < 200
    settings = ProbeControlSettings.parse({"family": {}, "slices": ["op<=max"], "num_resamples": 200}, "test")
    answers = [Answer("v_probe", label, said), Answer("control_task", other, other), Answer("control_task", other, 1 - other, counted)]
    first, second, third = score_readers(answers, problem, settings, "known")

    def balanced(label: Any, said: Any) -> float:
        return float(balanced_accuracy_of(class_statistics(label, said, np.zeros_like(label), num_problems=1, num_classes=2))[0])

    assert first["balanced_accuracy"] == pytest.approx(balanced(label, said))
    assert second["gain"] == pytest.approx(balanced(label, said) - 1.0)
    assert second["gain_low"] < second["gain"] < second["gain_high"] < 0
    assert (third["n"], third["num_problems"], third["subset"]) == (200, 20, "learned")
    assert third["gain"] == pytest.approx(balanced(label[counted], said[counted]))


def test_its_check_holds_for_constant_answers_and_sees_one_that_knows(made: Any, tmp_path: Path) -> None:
    unit = made.units["probe_controls", "probe_controls"]

    def judged(folder: Path) -> Any:
        return permuted_is_chance(SimpleNamespace(units=[unit], store=SimpleNamespace(path=lambda _: folder)))  # type: ignore[arg-type]

    rows = [row for row in made.scores.to_pylist() if row["reader"] == "permuted"]
    for low, task, passes in ((0.54, "known", True), (0.56, "known", False), (0.3, "value", False), (0.2, "value", True)):
        changed = [row | {"balanced_accuracy": low + 0.01, "balanced_accuracy_low": low} for row in rows if row["task"] == task]
        pq.write_table(pa.Table.from_pylist(changed, schema=CONTROLLED.schema()), tmp_path / CONTROLLED.files)
        assert judged(tmp_path).passed == passes, (low, task)


def test_a_member_has_it_only_if_it_asks_for_controls_and_no_other_unit_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    write_few(tmp_path, experiment())
    plain = units_of(find_member("few"))
    write_few(tmp_path, experiment(controls=["permuted", "no_layers"], claim="that it is the model"))
    more = units_of(find_member("few"))
    new = {(unit.stage, unit.name) for unit in more} - {(unit.stage, unit.name) for unit in plain}
    assert new == {
        ("probe_controls", "probe_controls"),
        *(("v_probes", f"{task} {control}") for task in TASKS for control in ("permuted", "no_layers")),
    }
    kept = {(unit.stage, unit.name): unit.fingerprint for unit in plain if unit.stage != "report"}
    assert kept == {key: unit.fingerprint for unit in more if (key := (unit.stage, unit.name)) in kept}
    by_name = {unit.name: unit.settings for unit in more if unit.stage == "v_probes"}
    assert {**by_name["known trained"], "answers": "permuted"} == by_name["known permuted"]
    assert {**by_name["known trained"], "layer": 0} == by_name["known no_layers"]
    assert STAGES["probe_controls"].work(next(unit for unit in more if unit.stage == "probe_controls")) > 0


@pytest.mark.parametrize(("precision", "bf16"), [("fp32", False), ("auto", False), ("bf16", True)])
def test_probes_answer_in_the_precision_that_the_experiment_asks_for(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, bf16: bool
) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    asked = experiment(controls=["control_task", "no_layers", "permuted"])
    asked["probes"]["precision"] = precision
    write_few(tmp_path, asked)
    (unit,) = (unit for unit in units_of(find_member("few")) if unit.stage == "probe_controls")
    assert unit.settings["precision"] == precision
    plain, seen = written.predict, []

    def noted(*args: Any, **how: Any) -> Any:
        seen.append(how["bf16"])
        return plain(*args, **(how | {"bf16": False}))

    monkeypatch.setattr(written, "predict", noted)
    inputs = {role: made.store.path(one) for role, one in made.units["probe_controls", "probe_controls"].inputs.items()}
    settings = ProbeControlSettings.model_validate({**unit.settings, "device": "cpu"})
    written.write_probe_controls(settings, inputs, Writing(tmp_path, False))
    assert seen
    assert set(seen) == {bf16}
