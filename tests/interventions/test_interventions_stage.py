"""The stage ``interchange``: what it writes for the published model, what its checks refuse, and where a member has it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reference.few_problems import few_problems, write_few

from igsm_pipeline.experiments import find_member
from igsm_pipeline.interventions.checks import all_states, own_states
from igsm_pipeline.interventions.settings import InterchangeSettings
from igsm_pipeline.interventions.stage import INTERCHANGE
from igsm_pipeline.interventions.write import write_interchange
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import TokenSettings
from igsm_pipeline.world import WorldSettings
from igsm_pipeline.world.write import write_world

PUBLISHED = Path(__file__).parents[2] / "data" / "published" / "small"
FAMILY = FamilySettings(op_max=4, ip_max=6, modulus=5, num_symbols=10, format="qp", op_law="uniform", split_by="problem")
PHRASE = TokenSettings(segmentation="phrase", vocab="compact")


def folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("interchange")
    inputs = {"world": folder(home / "world"), "checkpoint": PUBLISHED}
    write_world(WorldSettings(source="mini"), {}, Writing(inputs["world"], False))
    for part in ("own", "twins"):
        asked = ProblemSetSettings(family=FAMILY, law="exact", op=4, num_problems=96, block_size=96, stream="twins", reask=part == "twins")
        inputs[f"problems:{part}"] = folder(home / part)
        write_problem_set(asked, inputs, Writing(inputs[f"problems:{part}"], False))
    writing = Writing(folder(home / "interchange"), False)
    write_interchange(InterchangeSettings(family=FAMILY, tokens=PHRASE, layers=(0, 2, 8)), inputs, writing)
    return SimpleNamespace(folder=writing.folder, counts=writing.counts, rows=pq.read_table(writing.folder / INTERCHANGE.files).to_pylist())


def judged(folder: Path, check: Any) -> Any:
    return check(SimpleNamespace(folders=lambda: [folder]))


def test_every_donor_place_and_layer_has_a_row_of_all_pairs(made: Any) -> None:
    assert pq.read_schema(made.folder / INTERCHANGE.files) == INTERCHANGE.schema()
    assert len(made.rows) == 4 * 6 * 3
    assert made.counts["pairs"] + made.counts["same_first"] + made.counts["other_length"] == 96
    assert {row["n"] for row in made.rows if row["donor"] != "unrelated"} == {made.counts["pairs"]}
    assert all(0 <= row["swapped"] + row["kept"] <= 1 for row in made.rows)


def test_the_question_carries_the_choice_first_and_the_last_token_last(made: Any) -> None:
    twin, unrelated = (
        {(row["place"], row["layer"]): row["swapped"] for row in made.rows if row["donor"] == donor} for donor in ("twin", "unrelated")
    )
    assert unrelated["all", 0] < 0.5 < twin["all", 0] == 1.0
    assert twin["question", 0] == 1.0
    assert twin["question", 8] == 0.0
    assert twin["define", 0] == 0.0
    assert twin["define", 8] == 1.0


def test_its_checks_hold_and_see_what_they_are_for(made: Any, tmp_path: Path) -> None:
    for check, wrong in ((own_states, {"donor": "own", "kept": 0.9}), (all_states, {"donor": "twin", "place": "all", "swapped": 0.9})):
        assert judged(made.folder, check).passed
        rows = [{**made.rows[0], **wrong}, *made.rows[1:]]
        pq.write_table(pa.Table.from_pylist(rows, schema=INTERCHANGE.schema()), tmp_path / INTERCHANGE.files)
        assert not judged(tmp_path, check).passed
        assert "0.900" in judged(tmp_path, check).message


def test_a_member_has_it_only_if_it_asks_for_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    experiment = few_problems(8) | {"interchange": {"pairs": 0}}
    write_few(tmp_path, experiment)
    plain = units_of(find_member("few"))
    write_few(tmp_path, experiment | {"interchange": {"pairs": 8, "layers": [0, 1]}})
    more = units_of(find_member("few"))
    new = {(unit.stage, unit.name) for unit in more} - {(unit.stage, unit.name) for unit in plain}
    assert new == {("problem_sets", "interchange own"), ("problem_sets", "interchange twins"), ("interchange", "interchange")}
    kept = {unit.name: unit.fingerprint for unit in plain if unit.stage != "report"}
    assert kept == {unit.name: unit.fingerprint for unit in more if unit.name in kept and unit.stage != "report"}
    own, twins = (next(unit.settings for unit in more if unit.name == f"interchange {part}") for part in ("own", "twins"))
    assert {**own, "reask": True} == twins
