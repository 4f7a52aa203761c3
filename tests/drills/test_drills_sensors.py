"""A file dropped into the experiments folder beside a running webserver and daemon becomes a partition, is run and reported, without a restart."""

from __future__ import annotations

import time

import pytest
from reference.drill_tools import RUN_S, Servers, served
from reference.staleness_events import MEMBER

from igsm_pipeline.experiments import find_member
from igsm_pipeline.experiments.planner import plan
from igsm_pipeline.store import Store

pytestmark = pytest.mark.slow
LATER = "later"


def start_sensor(servers: Servers, name: str) -> None:
    selector = {"repositoryLocationName": "igsm_pipeline", "repositoryName": "__repository__", "sensorName": name}
    answer = servers.ask("mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }", s=selector)
    assert answer["startSensor"] == {"__typename": "Sensor"}


def ticks(servers: Servers, name: str) -> int:
    selector = {"repositoryLocationName": "igsm_pipeline", "repositoryName": "__repository__", "sensorName": name}
    query = "query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { ... on Sensor { sensorState { ticks(limit: 5) { status } } } } }"
    return len(servers.ask(query, s=selector)["sensorOrError"]["sensorState"]["ticks"])


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
