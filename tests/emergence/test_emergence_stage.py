"""The stage ``emergence``: what it writes of a small training, that it resumes, and where a member has it."""

from __future__ import annotations

import signal
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reference.few_problems import few_problems, write_few

from igsm_pipeline.emergence import write as module
from igsm_pipeline.emergence.settings import SOLVED, EmergenceSettings
from igsm_pipeline.emergence.stage import CURVES, HALF_GAINS
from igsm_pipeline.emergence.write import tables_of, write_emergence
from igsm_pipeline.errors import StageFailed
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import find_stage, units_of
from igsm_pipeline.probes import v_training
from igsm_pipeline.processes.stopping import Stopped
from igsm_pipeline.running.runner import run_units
from igsm_pipeline.store import Store, Writing
from igsm_pipeline.training.snapshots import snapshot_steps

TASKS = ["known", "value"]
STAGES = ("world", "problem_sets", "token_shards", "checkpoint", "probe_queries", "emergence")


def experiment(**training):
    made = few_problems(12) | {"emergence": {"problems_per_op": 6, "num_steps": 2, "batch_problems": 4}}
    made["training"] |= {"num_steps": 6, **training}
    made["probes"] |= {"tasks": TASKS, "slices": ["op<=max"]}
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = tmp_path_factory.mktemp("emergence")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IGSM_HOME", str(home))
        patch.delenv("IGSM_EXPERIMENTS", raising=False)
        write_few(home, experiment(snapshots=4))
        member, store = find_member("few"), Store.at_home()
        for stage in STAGES:
            run_units(member, stage, store)
        (unit,) = (unit for unit in units_of(member) if unit.stage == "emergence")
        inputs = {role: store.path(one) for role, one in unit.inputs.items()}
        yield SimpleNamespace(folder=store.path(unit), unit=unit, inputs=inputs)


def test_every_snapshot_has_every_measure_on_the_same_problems(made):
    rows = pq.read_table(made.folder / CURVES.files)
    assert rows.schema == CURVES.schema()
    rows = rows.to_pylist()
    steps = list(snapshot_steps(6, 4))
    measures = [(SOLVED, 1), (SOLVED, 2), (SOLVED, 3), (SOLVED, None), ("known", None), ("value", None)]
    assert [(row["measure"], row["op"], row["step"]) for row in rows] == [(*one, step) for one in measures for step in steps]
    assert {row["n"] for row in rows if row["measure"] == SOLVED} == {6, 18}
    tokens = [row["tokens"] for row in rows[:4]]
    assert tokens[0] == 0 < tokens[1] < tokens[2] < tokens[3]
    gains = pq.read_table(made.folder / HALF_GAINS.files)
    assert gains.schema == HALF_GAINS.schema()
    assert [(row["measure"], row["op"]) for row in gains.to_pylist()] == measures
    assert not list(made.folder.glob("answers-*"))


def test_what_was_found_of_a_snapshot_is_not_computed_again(made, tmp_path, monkeypatch):
    settings = EmergenceSettings.model_validate({**made.unit.settings, "device": "cpu"})
    plain, calls = module._Looking.answers, []

    def counted(self, snapshot, scratch):
        calls.append(snapshot.name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(self, snapshot, scratch)

    monkeypatch.setattr(module._Looking, "answers", counted)
    with pytest.raises(KeyboardInterrupt):
        write_emergence(settings, made.inputs, Writing(tmp_path, False))
    write_emergence(settings, made.inputs, Writing(tmp_path, False))
    assert calls[2] == calls[3]
    assert len(calls) == len(snapshot_steps(6, 4)) + 1
    for table in (CURVES, HALF_GAINS):
        assert pq.read_table(tmp_path / table.files).equals(pq.read_table(made.folder / table.files))


class StopAfterOneStep:
    """Signals that a training hears when it looks for the second time."""

    looks = 0

    def __bool__(self):
        self.looks += 1
        return self.looks > 1

    def __getitem__(self, _number):
        return signal.SIGINT


def test_a_run_stopped_within_the_probe_of_the_second_task_ends_as_an_unbroken_one(made, tmp_path, monkeypatch):
    settings = EmergenceSettings.model_validate({**made.unit.settings, "device": "cpu"})
    plain, calls = module.train_v_probe, []

    def stopped(*arguments, **named):
        calls.append(named["label"])
        with pytest.MonkeyPatch.context() as patch:
            if len(calls) == len(TASKS):
                patch.setattr(v_training, "remember_stops", lambda: nullcontext(SimpleNamespace(signals=StopAfterOneStep())))
            return plain(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(module, "train_v_probe", stopped)
        with pytest.raises(Stopped):
            write_emergence(settings, made.inputs, Writing(tmp_path, False))
    assert list(tmp_path.rglob(v_training.STATE)), "the probe of the second task has saved its state"
    write_emergence(settings, made.inputs, Writing(tmp_path, True))
    for table in (CURVES, HALF_GAINS):
        assert pq.read_table(tmp_path / table.files).equals(pq.read_table(made.folder / table.files))
    assert not list(tmp_path.rglob(v_training.STATE))


def test_curves_and_half_gains_are_those_of_the_answers():
    print("seed 5")
    random = np.random.default_rng(5)
    problems, steps, tokens = 400, [0, 10, 100], np.array([0.0, 1000.0, 10_000.0])
    label = random.integers(0, 2, problems * 4)

    def answers(solved: float, right: float) -> pa.Table:
        said = np.where(random.random(len(label)) < right, label, 1 - label)
        hit = (random.random(problems) < solved).astype(int)
        return pa.table(
            {
                "measure": [SOLVED] * problems + ["nece"] * len(label),
                "problem": [*range(problems), *np.repeat(np.arange(problems), 4)],
                "op": [2] * problems + [0] * len(label),
                "label": [1] * problems + label.tolist(),
                "said": hit.tolist() + said.tolist(),
            }
        )

    settings = EmergenceSettings.model_validate({"family": {}, "slice": "op<=max", "tasks": ["nece"], "num_resamples": 300})
    curves, gains = tables_of([answers(0, 0.5), answers(0.05, 0.9), answers(0.8, 0.95)], steps, tokens, settings)
    found = {(row["measure"], row["op"], row["step"]): row for row in curves}
    assert found["nece", None, 10]["value"] == pytest.approx(0.9, abs=0.03)
    assert found[SOLVED, 2, 100]["value"] == pytest.approx(0.8, abs=0.06)
    assert found[SOLVED, 2, 100]["value_low"] < 0.8 < found[SOLVED, 2, 100]["value_high"] + 0.02
    half = {(row["measure"], row["op"]): row for row in gains}
    assert half["nece", None]["tokens_high"] < 1000 < half[SOLVED, 2]["tokens_low"]
    assert half[SOLVED, 2]["tokens_low"] <= half[SOLVED, 2]["tokens"] <= half[SOLVED, 2]["tokens_high"]
    flat, none = tables_of([answers(0.3, 0.5), answers(0.9, 0.5), answers(0.32, 0.5)], steps, tokens, settings)
    assert none[0]["gain_low"] < 0 < none[0]["gain"], "the seed gives a gain that may be none"
    assert all(row["tokens"] is None for row in none), "no gain, no half of it"
    assert len(flat) == len(curves)


def test_a_checkpoint_without_snapshots_is_refused_and_a_member_without_them_has_no_such_stage(made, tmp_path, monkeypatch):
    settings = EmergenceSettings.model_validate({**made.unit.settings, "device": "cpu"})
    with pytest.raises(StageFailed, match=r"set training\.snapshots"):
        write_emergence(settings, made.inputs | {"checkpoint": tmp_path}, Writing(tmp_path, False))
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    write_few(tmp_path, experiment(snapshots=0))
    assert "emergence" not in {unit.stage for unit in units_of(find_member("few"))}


def test_its_probes_try_as_many_starts_as_the_section_says(made, tmp_path, monkeypatch):
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    asked = experiment(snapshots=[0, 3, 6])
    asked["emergence"] |= {"starts": 3, "start_steps": 1}
    write_few(tmp_path, asked)
    (unit,) = (unit for unit in units_of(find_member("few")) if unit.stage == "emergence")
    plain, begun = v_training._Training.begin, []
    monkeypatch.setattr(v_training._Training, "begin", lambda self, start: begun.append(start) or plain(self, start))
    write_emergence(EmergenceSettings.model_validate({**unit.settings, "device": "cpu"}), made.inputs, Writing(tmp_path, False))
    assert begun == [0, 1, 2] * len(TASKS) * len(snapshot_steps(6, 4))


def test_a_plan_counts_every_snapshot_of_a_list_and_every_trial(tmp_path, monkeypatch):
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))

    def work(snapshots, **asked):
        made = experiment(snapshots=snapshots)
        made["emergence"] |= {"num_steps": 400, **asked}
        write_few(tmp_path, made)
        (unit,) = (unit for unit in units_of(find_member("few")) if unit.stage == "emergence")
        return find_stage("emergence").work(unit)

    assert work([0, 3, 6]) == work(3)
    assert work([0, 1, 2, 3, 4, 6]) == pytest.approx(2 * work([0, 3, 6]))
    assert work(3) < work(3, starts=2, start_steps=200) < 1.6 * work(3)
