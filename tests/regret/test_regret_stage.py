"""The stage ``regret``: what it writes of the published model, what its checks refuse, and where a member has it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reference.few_problems import few_problems, write_few

from igsm_pipeline.experiments import find_member
from igsm_pipeline.generations.settings import GenerationSettings
from igsm_pipeline.generations.write import write_generations
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.probes.settings import VProbeSettings
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.regret.checks import no_retry_no_change, truth_names_right
from igsm_pipeline.regret.settings import RegretSettings
from igsm_pipeline.regret.stage import REGRET, RETRIED, SOLVED
from igsm_pipeline.regret.write import write_regret
from igsm_pipeline.stage import Role
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import TokenSettings
from igsm_pipeline.verification.settings import VerdictSettings
from igsm_pipeline.verification.write import write_verdicts
from igsm_pipeline.world import WorldSettings
from igsm_pipeline.world.write import write_world

PUBLISHED = Path(__file__).parents[2] / "data" / "published" / "small"
FAMILY = FamilySettings(op_max=6, ip_max=6, modulus=5, num_symbols=10, format="qp", op_law="uniform", split_by="problem")
PHRASE = TokenSettings(segmentation="phrase", vocab="compact")
PART, NUMBER = "op=max+2", 12


def folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stage's folder for one slice of the published model, with beams, and a probe of a few steps."""
    root = tmp_path_factory.mktemp("regret")
    inputs: dict[str, Path] = {"world": folder(root / "world"), "checkpoint": PUBLISHED}
    write_world(WorldSettings(source="mini"), {}, Writing(inputs["world"], False))
    for part, law in ((PART, {"law": "exact", "op": 8, "num_problems": NUMBER + 4, "split": "test"}), ("train", {"num_problems": 16})):
        inputs[Role("problems", part)] = folder(root / f"problems {part}")
        write_problem_set(
            ProblemSetSettings(family=FAMILY, stream=part, block_size=16, **law), inputs, Writing(inputs[Role("problems", part)], False)
        )
    for name, beam in ((PART, 1), (f"{PART} beam 2", 2)):
        given = {**inputs, "problems": inputs[Role("problems", PART)], "generations": folder(root / f"generations {name}")}
        write_generations(GenerationSettings(family=FAMILY, tokens=PHRASE, beam=beam, max_tokens=256), given, Writing(given["generations"], False))
        inputs |= {Role("generations", name): given["generations"], Role("verdicts", name): folder(root / f"verdicts {name}")}
        write_verdicts(VerdictSettings(modulus=5, tokens=PHRASE), given, Writing(inputs[Role("verdicts", name)], False))
    writing = Writing(folder(root / "regret"), False)
    recipe = VProbeSettings(family=FAMILY, tokens=PHRASE, task="can_next", num_steps=4, batch_problems=4, learning_rate=0.02, held_out=4)
    settings = RegretSettings(family=FAMILY, tokens=PHRASE, recipe=recipe, slices=(PART,), problems=NUMBER, tries=(2, 6), max_tokens=256)
    write_regret(settings, inputs, writing)
    assert writing.counts["solutions"] == 7 * NUMBER
    before = {path.name: path.read_bytes() for path in writing.folder.glob("*")}
    write_regret(settings, inputs, writing)
    assert {path.name: path.read_bytes() for path in writing.folder.glob("*")} == before, "a rerun trains nothing and writes the same"
    return root / "regret"


def test_it_writes_its_tables_with_every_arm_on_the_same_problems(made: Path) -> None:
    for table in (REGRET, RETRIED, SOLVED):
        assert pq.read_table(made / table.files).schema == table.schema()
    rows = pq.read_table(made / RETRIED.files).to_pylist()
    wanted = [("greedy", 0), ("probe", 2), ("probe", 6), ("truth", 2), ("truth", 6), ("chance", 2), ("beam", 2)]
    assert [(row["decoder"], row["tries"]) for row in rows] == wanted
    assert {row["n"] for row in rows} == {NUMBER}
    cells = {(row["decoder"], row["tries"]): row for row in rows}
    assert cells["truth", 6]["correct"] >= cells["greedy", 0]["correct"]
    assert cells["truth", 6]["retries"] > 0
    solved = pq.read_table(made / SOLVED.files).to_pylist()
    for (decoder, tries), row in cells.items():
        own = [one for one in solved if (one["decoder"], one["tries"]) == (decoder, tries)]
        assert [one["problem"] for one in own] == list(range(NUMBER))
        assert row["correct"] == sum(one["correct"] for one in own) / NUMBER
    told = {row["subset"]: row for row in pq.read_table(made / REGRET.files).to_pylist()}
    assert told["all"]["num_problems"] == NUMBER
    assert told["right"]["computable"] == told["right"]["n"], "what a right sentence names can be computed"
    assert told["mistake"]["computable"] == 0


def judged(path: Path) -> Any:
    return SimpleNamespace(folders=lambda: [path])


def test_its_checks_pass_and_notice_a_changed_solution_and_a_wrong_name(made: Path, tmp_path: Path) -> None:
    assert no_retry_no_change(judged(made)).passed
    assert truth_names_right(judged(made)).passed
    rows = pq.read_table(made / SOLVED.files).to_pylist()

    def spoilt(**changes: Any) -> Any:
        table = pa.Table.from_pylist([{**row, **changes} if row["decoder"] == "truth" else row for row in rows], schema=SOLVED.schema())
        pq.write_table(table, tmp_path / SOLVED.files)
        return judged(tmp_path)

    assert not no_retry_no_change(spoilt(retries=0, error="parse")).passed
    assert not truth_names_right(spoilt(retries=1, error="redefined_parameter")).passed


def test_a_member_has_it_only_if_it_asks_for_problems_and_no_other_unit_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    experiment: dict[str, Any] = few_problems(8) | {"regret": {"problems": 0}}
    experiment["evaluation"]["beams"] = [1, 4]
    write_few(tmp_path, experiment)
    plain = units_of(find_member("few"))
    write_few(tmp_path, experiment | {"regret": {"problems": 8, "claim": "that it knows"}})
    more = units_of(find_member("few"))
    assert {(unit.stage, unit.name) for unit in more} - {(unit.stage, unit.name) for unit in plain} == {
        ("problem_sets", "regret"),
        ("regret", "regret"),
    }
    kept = {(unit.stage, unit.name): unit.fingerprint for unit in plain if unit.stage != "report"}
    assert kept == {key: unit.fingerprint for unit in more if (key := (unit.stage, unit.name)) in kept}
    unit = next(unit for unit in more if unit.stage == "regret")
    assert unit.inputs["verdicts:op=max"].labels["beams"] == 1
    assert unit.inputs["verdicts:op=max beam 4"].labels["beams"] == 4
    assert unit.inputs["problems:train"].settings["split"] != "test"
    assert unit.settings["recipe"]["num_steps"] == experiment["probes"]["num_steps"]
    assert STAGES["regret"].work(unit) > 0
