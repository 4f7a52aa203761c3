"""Schedule and sensors ask for what the planner calls stale, and for nothing else; what they write, a person can act on."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import dagster as dg
import pytest
from reference.staleness_events import EVENTS, MEMBER, Event, changed, declare, delete, version_raised

from igsm_pipeline.defs.operating import automation
from igsm_pipeline.defs.operating.automation import AFTER_EVERY_STAGE, experiment_files, failure_text, nightly_refresh, stale_members, write_failures
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import find_stage, units_of
from igsm_pipeline.planning.planner import plan
from igsm_pipeline.store import Store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root whose only own member is finished; a unit's file tells its address."""
    folder = tmp_path / "home"
    monkeypatch.setenv("IGSM_HOME", str(folder))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    declare(folder)
    finish(MEMBER)
    monkeypatch.setattr(automation, "MEMBERS", dg.StaticPartitionsDefinition([*automation.load_members()]))
    return folder


def finish(member: str) -> None:
    store = Store.at_home()
    for unit in units_of(find_member(member)):
        if not store.check(unit).fresh:
            with store.write(unit) as writing:
                (writing.folder / "a.bin").write_text(unit.fingerprint)


@pytest.fixture(scope="module")
def empty_instance():
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def instance(home: Path, empty_instance):
    """Dagster knows that the member was reported on."""
    report(empty_instance, MEMBER)
    yield empty_instance
    empty_instance.wipe_assets([dg.AssetKey("report")])
    for run in empty_instance.get_runs():
        empty_instance.delete_run(run.run_id)


def report(instance: dg.DagsterInstance, member: str) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization("report", partition=member))


def asked(requests) -> dict[str, set[str]]:
    return {one.partition_key: {key.to_user_string() for key in one.asset_selection} - set(AFTER_EVERY_STAGE) for one in requests or []}


def by_schedule(instance) -> dict[str, set[str]]:
    found = nightly_refresh(dg.build_schedule_context(instance=instance))
    return asked(found) if isinstance(found, list) else {}


def by_sensor(instance, cursor: str | None = None) -> tuple[dict[str, set[str]], str]:
    found = stale_members(dg.build_sensor_context(instance=instance, cursor=cursor))
    return asked(found.run_requests), found.cursor


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_status_schedule_and_sensor_give_the_same_answer(home, instance, event: Event):
    package = event.apply(home)
    with version_raised(find_stage("verdicts")) if package is not None else contextlib.nullcontext():
        looked = plan(find_member(MEMBER), Store.at_home())
        wanted = {MEMBER: event.seen} if event.seen else {}
        assert set(looked.stale_stages) == event.seen
        assert {unit.stage for unit, state in zip(looked.units, looked.freshness, strict=True) if state.waits} >= set(event.waiting)
        assert by_schedule(instance) == wanted
        assert by_sensor(instance)[0] == wanted


def test_a_member_that_nobody_has_run_is_not_run_at_night(home, empty_instance):
    shutil.rmtree(home / "store" / "report")
    declare(home, training="{num_steps: 9}")
    assert by_schedule(empty_instance) == {}
    assert by_sensor(empty_instance)[0] == {}


def test_a_report_that_dagster_did_not_see_being_made_is_kept_fresh(home, empty_instance):
    delete("verdicts")(home)
    wanted = {MEMBER: set(plan(find_member(MEMBER), Store.at_home()).stale_stages)}
    assert "verdicts" in wanted[MEMBER]
    assert by_schedule(empty_instance) == by_sensor(empty_instance)[0] == wanted


def test_a_member_under_way_or_archived_is_left_alone(home, instance):
    delete("report")(home)
    assert by_schedule(instance) == {MEMBER: {"report"}}
    run = instance.create_run_for_job(empty, tags={"dagster/partition": MEMBER}, status=dg.DagsterRunStatus.STARTED)
    assert (by_schedule(instance), by_sensor(instance)[0]) == ({}, {})
    instance.report_run_failed(run)
    assert by_schedule(instance) == {MEMBER: {"report"}}
    declare(home, archived="true")
    assert (by_schedule(instance), by_sensor(instance)[0]) == ({}, {})


def test_a_new_member_is_asked_for_once_it_is_a_partition_and_not_again_when_it_fails(home, instance, monkeypatch):
    requests, cursor = by_sensor(instance)
    assert requests == {}
    (home / "experiments" / "later.yaml").write_text(f"base: {MEMBER}\ntraining: {{seed: 3}}\n")
    requests, cursor = by_sensor(instance, cursor)
    assert requests == {}, "the code location does not know it yet"
    monkeypatch.setattr(automation, "MEMBERS", dg.StaticPartitionsDefinition([*automation.load_members()]))
    requests, cursor = by_sensor(instance, cursor)
    assert set(requests) == {"later"}
    assert by_sensor(instance, cursor)[0] == {}, "it was asked for and stays stale: it failed"
    (home / "experiments" / "later.yaml").write_text(f"base: {MEMBER}\ntraining: {{seed: 4}}\n")
    requests, cursor = by_sensor(instance, cursor)
    assert set(requests) == {"later"}, "another seed is another thing to compute"
    finish("later")
    report(instance, "later")
    cursor = by_sensor(instance, cursor)[1]
    assert json.loads(cursor)["later"] == []
    changed("evaluation", "max_tokens: 160", "max_tokens: 150")(home)
    assert set(by_sensor(instance, cursor)[0]) == {MEMBER, "later"}, "later rests on the file that was changed"


def test_a_broken_file_costs_the_other_members_nothing(home, instance, monkeypatch):
    (home / "experiments" / "broken.yaml").write_text("family: {op_max: many}\n")
    (home / "experiments" / "lost.yaml").write_text("base: mini\nworld: {source: gone.json}\n")
    delete("report")(home)
    assert by_schedule(instance) == {MEMBER: {"report"}}
    monkeypatch.setattr(automation, "MEMBERS", dg.StaticPartitionsDefinition([*automation.load_members({})]))
    assert "broken.yaml: family.op_max" in experiment_files(dg.build_sensor_context(instance=instance, cursor=None)).skip_message


def test_the_code_location_is_reloaded_when_and_only_when_a_member_changed(home, instance, monkeypatch):
    reloads: list[str] = []
    monkeypatch.setattr(automation, "reload_location", reloads.append)
    monkeypatch.setenv(automation.UI_URL, "http://127.0.0.1:1")
    context = dg.build_sensor_context(instance=instance, cursor=None)
    experiment_files(context)
    experiment_files(context)
    assert reloads == []
    (home / "experiments" / "later.yaml").write_text(f"base: {MEMBER}\n")
    assert "reloaded" in experiment_files(context).skip_message
    assert reloads == ["http://127.0.0.1:1"]
    assert "none changed" in experiment_files(context).skip_message
    assert len(reloads) == 1, "once is enough, though this process does not know the new member yet"


def test_without_a_webserver_the_sensor_says_how_to_start_one():
    with pytest.raises(RuntimeError, match="igsm ui"):
        automation.reload_location("http://127.0.0.1:1")


@dg.op
def fall():
    """Fails for a reason of its own."""
    try:
        raise ValueError("the disk is full; free space")
    except ValueError as error:
        raise dg.Failure("wrapped", allow_retries=False) from error


@dg.job(tags={"dagster/partition": MEMBER})
def falling():
    fall()


@dg.job
def empty():
    """A job to make runs of."""


def test_a_failed_run_leaves_what_why_and_the_command_that_resumes(home, instance):
    result = falling.execute_in_process(instance=instance, raise_on_error=False)
    (event,) = [event for event in result.all_events if event.is_run_failure]
    context = dg.build_run_status_sensor_context("write_failures", event, instance, result.dagster_run).for_run_failure()
    write_failures(context)
    (path,) = (home / "failures").iterdir()
    text = path.read_text()
    assert "failed in: fall" in text
    assert "the disk is full; free space" in text
    assert text.endswith(f"    igsm run {MEMBER}\n")


def test_a_run_that_died_between_steps_still_says_how_to_go_on():
    text = failure_text("m", "id", {}, "the worker was killed")
    assert "between its steps" in text
    assert "the worker was killed" in text
