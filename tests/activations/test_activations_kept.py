"""``probes.keep_states`` decides what lies on the disk, never what is found: all states, those of chosen layers, or none."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from reference.few_problems import few_problems, write_few

import igsm_pipeline as igsm
from igsm_pipeline.activations.cache import layers_of
from igsm_pipeline.errors import BadInput, NotFound
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.estimates import disk_of
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.planning.planner import find_unit
from igsm_pipeline.running.runner import run_units
from igsm_pipeline.store import Store, Unit

LAYERS, CHOSEN = 3, 2
LEFT_OUT = ("generations", "verdicts", "error_correlation", "report")
SECTION = {"all": {"keep_states": "all"}, "chosen": {"keep_states": "chosen", "kept_layers": [CHOSEN]}, "none": {"keep_states": "none"}}


def declare(home: Path, how: str) -> None:
    experiment = few_problems(8)
    for section in ("knowledge", "interchange", "llm_evaluations", "steering", "erasure", "emergence", "regret"):
        del experiment[section]
    experiment["model"]["layers"] = LAYERS
    experiment["training"] |= {"snapshots": 0, "device": "cpu"}
    experiment["evaluation"]["slices"] = ["op<=max"]
    experiment["probes"] |= {"tasks": ["nece", "dep"], "slices": ["op<=max"], **SECTION[how]}
    write_few(home, experiment)


def units_by_name(stage: str) -> dict[str, Unit]:
    return {unit.name: unit for unit in units_of(find_member("few")) if unit.stage == stage}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    return tmp_path


def test_linear_probes_and_scores_are_the_same_whatever_is_kept_and_the_disk_holds_the_chosen_layers_alone(home: Path) -> None:
    found, taken, states = {}, {}, {}
    for how in SECTION:
        declare(home, how)
        member, store = find_member("few"), Store.at_home()
        for stage in STAGES:
            if stage not in LEFT_OUT:
                run_units(member, stage, store)
        probes = [store.path(find_unit(member, "linear_probes", arm)) for arm in ("trained", "random")]
        scores = store.path(find_unit(member, "probe_scores", "op<=max"))
        found[how] = [(folder / "probes.safetensors").read_bytes() for folder in probes]
        found[how] += [pq.read_table(folder / "selection.parquet").to_pylist() for folder in probes]
        found[how] += [pq.read_table(scores / f"{name}.parquet").to_pylist() for name in ("predictions", "metrics")]
        caches = units_by_name("activation_cache")
        taken[how] = sum(path.stat().st_size for unit in caches.values() for path in store.path(unit).glob("*.parquet"))
        for unit in caches.values():
            assert layers_of(store.path(unit)) == ([CHOSEN] if how == "chosen" else list(range(LAYERS + 1)))
            assert sum(path.stat().st_size for path in store.path(unit).iterdir()) < disk_of(unit)
        mind = igsm.open("few")
        if how == "none":
            with pytest.raises(NotFound):
                mind.states(CHOSEN)
            continue
        states[how] = [mind.states(CHOSEN, at=at) for at in ("queries", "sentences")]
        if how == "chosen":
            assert mind.states(-1).equals(states[how][0])
            with pytest.raises(BadInput, match=f"layer must be one of {CHOSEN}, or"):
                mind.states(0)
    assert found["chosen"] == found["all"] == found["none"]
    assert len(found["all"][0]) > 1000
    assert all(one.equals(other) for one, other in zip(states["chosen"], states["all"], strict=True))
    assert taken["none"] == 0 < taken["chosen"] < 0.6 * taken["all"]


def test_with_chosen_layers_linear_probes_and_scores_are_the_units_that_they_are_without_states(home: Path) -> None:
    units = {}
    for how in SECTION:
        declare(home, how)
        units[how] = {(unit.stage, unit.name): unit for unit in units_of(find_member("few")) if unit.stage != "report"}
    assert {key: unit.fingerprint for key, unit in units["chosen"].items() if key[0] != "activation_cache"} == {
        key: unit.fingerprint for key, unit in units["none"].items()
    }
    caches = [unit for (stage, _), unit in units["chosen"].items() if stage == "activation_cache"]
    assert [unit.settings["layers"] for unit in caches] == [[CHOSEN]] * 4, "two problem sets, trained and random"
    whole = [unit for (stage, _), unit in units["all"].items() if stage == "activation_cache"]
    assert sum(map(disk_of, caches)) < sum(map(disk_of, whole))
