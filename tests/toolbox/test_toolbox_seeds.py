"""What other seeds change: members of one size are pooled over model seeds and probe seeds, and the page says what an interval covers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reference.invented_members import invent, invented_verdicts
from reference.own_experiment import declare

from igsm_pipeline.experiments import load_members
from igsm_pipeline.experiments.experiment import Member, load_experiments
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.probes.stage import DISTANCES
from igsm_pipeline.store import Store, Unit
from igsm_pipeline.toolbox.found import read_found
from igsm_pipeline.toolbox.grid import finished_runs, write_grid_report
from igsm_pipeline.toolbox.seeds import OverSeeds, over_seeds

N, QUERIES = 40, 6
SOLVED = {"s0": 10, "s1": 20, "s2": 30}
RIGHT = {("s0", "p0"): 0.9, ("s0", "p1"): 0.8, ("s1", "p0"): 0.7, ("s1", "p1"): 0.95, ("s2", "p0"): 0.85, ("s2", "p1"): 0.75}
RANDOM = 0.55


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    declare(
        tmp_path,
        'probes: {tasks: [nece], slices: ["op<=max"]}\nevaluation: {slices: ["op<=max"]}\ninterchange: {pairs: 0}\n'
        "grid:\n  seed: {s0: {training.seed: 0}, s1: {training.seed: 1}, s2: {training.seed: 2}}\n  probes.seed: {p0: 0, p1: 1}\n",
        "seeded",
    )
    return tmp_path


def finish(store: Store, member: Member) -> None:
    """Invented verdicts and predictions of one member."""
    seed, probe = member.labels["seed"], member.labels["probes.seed"]

    def write(unit: Unit, folder: Path) -> None:
        if unit.stage == "verdicts":
            pq.write_table(invented_verdicts([row < SOLVED[seed] for row in range(N)], [3] * N), folder / "verdicts.parquet")
        if unit.stage == "probe_scores":
            pq.write_table(predictions(RIGHT[seed, probe]), folder / "predictions.parquet")
            pq.write_table(DISTANCES.schema().empty_table(), folder / "distances.parquet")

    invent(store, member, write)


def predictions(right: float) -> pa.Table:
    """Answers of a V-probe that is right in so many of each class, and of one on random weights."""
    label = np.tile([0, 1], N * QUERIES // 2)
    rank = np.tile(np.arange(N * QUERIES // 2)[:, None], (1, 2)).ravel() / (N * QUERIES // 2)
    parts = []
    for probe, share in (("v_probe", right), ("random", RANDOM), ("linear", 0.0)):
        said = np.where(rank < share, label, 1 - label)
        columns = {"task": ["nece"] * len(label), "probe": [probe] * len(label), "problem": np.repeat(np.arange(N), QUERIES)}
        parts.append(pa.table({**columns, "label": label, "prediction": said}))
    return pa.concat_tables(parts)


def pooled(store: Store) -> dict[str, OverSeeds]:
    return {one.what: one for one in over_seeds(read_found(load_experiments()["seeded"], store), store)}


def test_numbers_are_means_over_model_seeds_of_means_over_probe_seeds(home: Path) -> None:
    store = Store.at_home()
    for member in load_experiments()["seeded"].members:
        finish(store, member)
    found = pooled(store)
    assert set(found) == {"fully correct", *(f"needed (nece), {what}" for what in ("V-probe", "random weights", "gain over random weights"))}
    solved, read = found["fully correct"].covered, found["needed (nece), V-probe"].covered
    assert solved.interval.value == pytest.approx(np.mean(list(SOLVED.values())) / N)
    assert (solved.models, solved.probes) == (3, (1, 1, 1)), "probe seeds of one model share its solutions"
    assert read.interval.value == pytest.approx(np.mean(list(RIGHT.values())), abs=0.01)
    assert read.covers == "3 model seeds, 2 probe seeds each, 40 problems"
    gain = found["needed (nece), gain over random weights"].covered.interval
    assert gain.value == pytest.approx(read.interval.value - RANDOM, abs=0.01)
    by_model = [np.mean([right for (seed, _), right in RIGHT.items() if seed == one]) for one in SOLVED]
    wanted = 4.303 * np.std(by_model, ddof=1) / np.sqrt(3)
    assert gain.high - gain.low > 1.5 * wanted, "seeds alone make a t interval with two degrees of freedom"
    assert found["fully correct"].size == "seeded"


def test_the_page_tells_it_and_a_model_that_is_probed_anew_is_one_run(home: Path) -> None:
    store, experiment = Store.at_home(), load_experiments()["seeded"]
    for member in experiment.members:
        finish(store, member)
    assert [run.size for run in finished_runs(read_found(experiment, store), store)] == ["seeded.s0", "seeded.s1", "seeded.s2"]
    text = write_grid_report(experiment, store, home / "reports").read_text()
    assert "What do other seeds change?" in text
    assert "(3 model seeds, 40 problems)" in text
    assert "3 model seeds, 2 probe seeds each, 40 problems" in text
    assert "Of 1 gains of V-probes over random weights, 1 hold over seeds" in text


def test_one_finished_member_tells_nothing_of_seeds(home: Path) -> None:
    store = Store.at_home()
    finish(store, load_members()["seeded.s0.p0"])
    assert over_seeds(read_found(load_experiments()["seeded"], store), store) == []


def test_models_that_solved_other_problems_are_not_pooled(home: Path) -> None:
    path = home / "experiments" / "seeded.yaml"
    path.write_text(path.read_text().replace("s1: {training.seed: 1}", "s1: {training.seed: 1, evaluation.seed: 7}"))
    store = Store.at_home()
    for member in load_experiments()["seeded"].members:
        finish(store, member)
    assert {one.covered.models for one in over_seeds(read_found(load_experiments()["seeded"], store), store)} == {2, 1}


def test_mini_seeds_trains_three_models_and_probes_each_five_times() -> None:
    members = [member for member in load_members().values() if member.experiment == "mini_seeds"]
    units = [unit for member in members for unit in units_of(member)]
    assert len({unit.fingerprint for unit in units if unit.stage == "checkpoint"}) == 3
    assert len({unit.fingerprint for unit in units if unit.stage == "v_probes" and unit.labels == {"task": "nece", "arm": "trained"}}) == 15
    assert len({unit.fingerprint for unit in units if unit.stage == "problem_sets" and unit.name == "op<=max"}) == 1
