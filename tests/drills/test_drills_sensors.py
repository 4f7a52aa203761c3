"""Sensors and the nightly schedule beside a running webserver and daemon: what they are there for happens, without a restart."""

from __future__ import annotations

import time

import pytest
from reference.drill_tools import RUN_S, Servers, forget, moved_clock, recover, served
from reference.staleness_events import MEMBER, declare

from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.planner import plan
from igsm_pipeline.store import Store

pytestmark = pytest.mark.slow
LATER = "later"
HOUR_S, DAY_S, LEAD_S = 3600, 86400, 120
_WHERE = {"repositoryLocationName": "igsm_pipeline", "repositoryName": "__repository__"}


def start_sensor(servers: Servers, name: str) -> None:
    answer = servers.ask("mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }", s={**_WHERE, "sensorName": name})
    assert answer["startSensor"] == {"__typename": "Sensor"}


def ticks(servers: Servers, name: str) -> int:
    query = "query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { ... on Sensor { sensorState { ticks(limit: 5) { status } } } } }"
    return len(servers.ask(query, s={**_WHERE, "sensorName": name})["sensorOrError"]["sensorState"]["ticks"])


def partitions(servers: Servers) -> list[str]:
    query = "query($k: AssetKeyInput!) { assetNodeOrError(assetKey: $k) { ... on AssetNode { partitionKeys } } }"
    return servers.ask(query, k={"path": ["world"]})["assetNodeOrError"]["partitionKeys"]


def until(what: str, holds) -> None:
    deadline = time.monotonic() + RUN_S
    while not holds():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(1)


def test_a_new_file_becomes_a_partition_and_is_run_without_a_restart(home):
    with served(home) as servers:
        for name in ("experiment_files", "stale_members"):
            start_sensor(servers, name)
        until("each sensor has looked once", lambda: all(ticks(servers, name) for name in ("experiment_files", "stale_members")))
        (home / "experiments" / f"{LATER}.yaml").write_text(f"base: {MEMBER}\ntitle: another title makes another report\n")
        until("the new member is a partition", lambda: LATER in partitions(servers))
        until("its report is made", lambda: not plan(find_member(LATER), Store(home / "store")).stale)


def test_a_failed_run_is_written_down_with_its_reason_and_the_command_that_resumes_it(home):
    with served(home) as servers:
        start_sensor(servers, "write_failures")
        until("the sensor has looked once", lambda: ticks(servers, "write_failures"))
        forget(home, "verdicts")
        declare(home, training="{num_steps: 2, batch_windows: 4, warmup_steps: 1, precision: fp32, accuracy_every_steps: 2, device: abacus}")
        run = servers.launch("verdicts")
        assert servers.settled(run) == "FAILURE"
        written = home / "failures" / f"{run}.txt"
        until("it is written down", written.exists)
        text = written.read_text()
        assert "failed in: verdicts" in text
        assert "training.device must be auto, cpu, mps, cuda or cuda:N" in text
        assert text.endswith(f"    igsm run {MEMBER}\n")
        declare(home)
    recover(home, "verdicts")


def test_at_three_in_the_morning_what_became_stale_of_a_reported_member_is_run(home, tmp_path):
    forget(home, "report")
    recover(home, "report")  # through Dagster, which then knows that the member was reported on
    forget(home, "report")
    since_three = (time.time() - 3 * HOUR_S) % DAY_S
    with served(home, **moved_clock(tmp_path, int(DAY_S - since_three) - LEAD_S)) as servers:
        selector = {**_WHERE, "scheduleName": "nightly_refresh"}
        answer = servers.ask("mutation($s: ScheduleSelector!) { startSchedule(scheduleSelector: $s) { __typename } }", s=selector)
        assert answer["startSchedule"] == {"__typename": "ScheduleStateResult"}
        until("the member is fresh again", lambda: not plan(find_member(MEMBER), Store(home / "store")).stale)
        told = "... on Schedule { scheduleState { ticks { status timestamp } } }"
        query = "query($s: ScheduleSelector!) { scheduleOrError(scheduleSelector: $s) { " + told + " } }"
        (tick,) = servers.ask(query, s=selector)["scheduleOrError"]["scheduleState"]["ticks"]
        assert (tick["status"], tick["timestamp"] % DAY_S) == ("SUCCESS", 3 * HOUR_S)
