"""The stage ``steering``: what it writes of the published model, and where a member has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from reference.few_problems import few_problems, write_few

from igsm_pipeline.experiments import find_member
from igsm_pipeline.interventions.effects import effect_rows
from igsm_pipeline.interventions.interchange import Effect, Exchanged
from igsm_pipeline.interventions.settings import SteeringSettings
from igsm_pipeline.interventions.stage import STEERED
from igsm_pipeline.interventions.write_steering import CELL, write_steering
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import TokenSettings
from igsm_pipeline.world import WorldSettings
from igsm_pipeline.world.write import write_world

PUBLISHED = Path(__file__).parents[2] / "data" / "published" / "small"
FAMILY = FamilySettings(op_max=5, ip_max=6, modulus=5, num_symbols=10, format="qp", op_law="uniform", split_by="problem")
PHRASE = TokenSettings(segmentation="phrase", vocab="compact")


def folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def test_every_push_layer_and_strength_has_a_row_of_the_same_problems(tmp_path: Path) -> None:
    inputs = {"world": folder(tmp_path / "world"), "problems": folder(tmp_path / "problems")}
    inputs |= {"checkpoint": PUBLISHED, "v_probes": PUBLISHED / "probes" / "nece-trained"}
    write_world(WorldSettings(source="mini"), {}, Writing(inputs["world"], False))
    asked = ProblemSetSettings(family=FAMILY, law="exact", op=5, num_problems=48, block_size=48, stream="steering")
    write_problem_set(asked, inputs, Writing(inputs["problems"], False))
    writing = Writing(folder(tmp_path / "steering"), False)
    write_steering(SteeringSettings(family=FAMILY, tokens=PHRASE, layers=(1, 4), strengths=(0.1, 0.3)), inputs, writing)
    table = pq.read_table(writing.folder / STEERED.files)
    assert table.schema == STEERED.schema()
    rows = table.to_pylist()
    assert {(row["push"], row["layer"], row["strength"]) for row in rows} == {
        (push, layer, strength) for push in ("probe", "other", "random") for layer in (1, 4) for strength in (0.1, 0.3)
    }
    assert {row["n"] for row in rows} == {writing.counts["pushed"]}
    assert sum(writing.counts[name] for name in ("pushed", "begun_anyway", "without_two")) == 48
    assert writing.counts["pushed"] >= 5


def test_rows_count_every_problem_once() -> None:
    yes, no = np.array([True, False]), np.array([False, False])
    parts = [
        Exchanged(np.arange(2), {("probe", 2, 0.1): Effect(yes, no, np.array([1.0, 3.0]))}),  # type: ignore[dict-item]
        Exchanged(np.arange(2), {("probe", 2, 0.1): Effect(yes, yes, np.array([2.0, 6.0]))}),  # type: ignore[dict-item]
    ]
    (row,) = effect_rows(parts, CELL, "named")
    assert (row["push"], row["layer"], row["strength"], row["n"], row["named"], row["kept"], row["shift"]) == ("probe", 2, 0.1, 4, 0.5, 0.25, 3.0)
    assert row["named_low"] < 0.5 < row["named_high"]


def test_a_member_has_it_only_if_it_asks_for_problems_and_no_other_unit_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    experiment: dict[str, Any] = few_problems(8) | {"steering": {"problems": 0}}
    write_few(tmp_path, experiment)
    plain = units_of(find_member("few"))
    write_few(tmp_path, experiment | {"steering": {"problems": 8, "layers": [0], "claim": "that it can"}})
    more = units_of(find_member("few"))
    assert {(unit.stage, unit.name) for unit in more} - {(unit.stage, unit.name) for unit in plain} == {
        ("problem_sets", "steering"),
        ("steering", "steering"),
    }
    kept = {(unit.stage, unit.name): unit.fingerprint for unit in plain if unit.stage != "report"}
    assert kept == {key: unit.fingerprint for unit in more if (key := (unit.stage, unit.name)) in kept}
    unit = next(unit for unit in more if unit.stage == "steering")
    assert unit.inputs["v_probes"].name == "nece trained"
    write_few(tmp_path, experiment | {"steering": {"problems": 8}, "probes": experiment["probes"] | {"tasks": ["dep"]}})
    assert "steering" not in {part for one in units_of(find_member("few")) for part in (one.stage, one.name)}, "there is no probe to follow"
    assert STAGES["steering"].work(unit) > 0
