"""The wiring of the stages: what is declared is what is read, drawn and written."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from reference.inspect_logs import write_example
from reference.tiny_experiment import MEMBER

from igsm_pipeline.experiments import find_member, load_members
from igsm_pipeline.planning import flow
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.planning.planner import plan
from igsm_pipeline.planning.wiring import Wiring
from igsm_pipeline.stage import EVERY_STAGE, Role, Stage, load_object, parts_of
from igsm_pipeline.store import Store


def read_by_members() -> dict[str, set[str]]:
    """Stage -> the stages that its units read, over every built-in member, and one that names problems and logs of its own."""
    found: dict[str, set[str]] = {name: set() for name in STAGES}
    for member in load_members().values():
        for unit in units_of(member):
            found[unit.stage] |= {source.stage for source in unit.inputs.values()}
    return found


def test_the_arrows_of_every_asset_are_what_the_planner_reads_for_every_built_in_member(home: Path) -> None:
    from igsm_pipeline.defs.graph.assets import ASSETS  # noqa: PLC0415  (dagster)

    (home / "experiments" / "rows.jsonl").touch()  # a plan asks for its hash alone
    write_example(home / "experiments" / "logs")
    (home / "experiments" / "owned.yaml").write_text(
        "base: mini\nproblems: {source: rows.jsonl}\nllm_evaluations: {logs: logs}\nregret: {problems: 8}\nerasure: {problems: 8}\n"
    )
    read = read_by_members()
    arrows = {asset.key.to_user_string(): {key.to_user_string() for key in asset.dependency_keys} for asset in ASSETS}
    assert {name: arrows[name] for name in STAGES} == read


def test_every_declared_read_is_made_by_a_stage_before_it() -> None:
    before: list[str] = []
    for stage in STAGES.values():
        assert set(stage.sources) <= {*before, EVERY_STAGE}, stage.name
        before.append(stage.name)


def test_an_undeclared_input_is_a_fault_of_the_program(home: Path) -> None:
    wiring = Wiring(find_member("mine"))
    world = wiring.add(STAGES["world"], "world", wiring.settings.world, {})
    with pytest.raises(ValueError, match="does not declare"):
        wiring.add(STAGES["world"], "second", wiring.settings.world, {Role("world"): world})


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name)
def test_everything_that_a_stage_names_is_there(stage: Stage) -> None:
    paths = [stage.write, *(check.evaluate for check in stage.checks), *(path for path in (stage.summary, stage.plots) if path)]
    assert all(callable(load_object(path)) for path in paths)
    assert stage.words.endswith(".")


def test_a_role_is_its_string_and_keeps_its_parts_in_other_processes() -> None:
    role = Role("report", "op=max beam 1", "/")
    again = pickle.loads(pickle.dumps(role))
    assert (role, again, again.kind, again.part) == ("report/op=max beam 1", role, "report", "op=max beam 1")
    assert parts_of(["queries:reask", "activations:x", Role("queries", "op=max"), "queries"], "queries") == ["op=max", "reask"]


@pytest.mark.slow
def test_every_file_has_the_columns_and_types_that_its_table_declares(tiny_home: Path) -> None:
    store, seen = Store.at_home(), set()
    planned = plan(find_member(MEMBER), store)
    for unit in planned.units:
        stage = STAGES[unit.stage]
        for path in sorted(store.path(unit).glob("*.parquet")):
            (table,) = [table for table in stage.tables if path.match(table.files)]
            declared = {column.name.strip('"'): column.type for column in table.columns if column.stored}
            found = {field.name: str(field.type) for field in pq.read_schema(path)}
            numbered = {name for name in found if f"{name.rpartition('_')[0]}_*" in declared}
            assert found.keys() - numbered <= declared.keys() | {"known"}, path
            typed = [name for name in found if declared.get(name)]
            assert [found[name] for name in typed] == [declared[name] for name in typed], path
            seen.add((stage.name, table.name))
    takes_back = ("verdicts", "retries")  # the tiny model has no token for it; tests/verification/test_verification_stage.py writes this table
    assert seen == {(stage.name, table.name) for stage in STAGES.values() for table in stage.tables} - {takes_back}


def test_the_text_of_the_declarations_is_that_of_all_files_that_declare_or_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    monkeypatch.setattr(flow, "hash_file", lambda path: hashed.append(path) or "a")
    flow.declared_text()
    wiring = {Path(inspect.getfile(one)) for one in (*flow.FLOW.values(), flow.Wiring, flow.problem_sets)}
    assert wiring <= set(hashed)
    assert {path.parent.name for path in hashed if path.name == "stage.py"} == {stage.write.split(".")[1] for stage in STAGES.values()}
