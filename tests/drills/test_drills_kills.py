"""kill -9 of the run's process, of the webserver and of the daemon, in the middle of each stage: nothing finished is lost, nobody is left behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from reference.drill_tools import ROOT, RUN_S, contents, ended, environment, forget, frozen_in, igsm, lost, recover, served
from reference.staleness_events import MEMBER, TOY_STAGES

from igsm_pipeline.defs.operating.instance import enter_home, open_instance
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.planner import plan
from igsm_pipeline.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")]


@pytest.mark.parametrize("stage", TOY_STAGES)
def test_a_killed_run_takes_its_stage_along_and_is_resumed(home, diary, stage):
    before = contents(home)
    forget(home, stage)
    command = [sys.executable, "-m", "igsm_pipeline.cli", "run", MEMBER, "--stage", stage]
    with (home / "killed.log").open("wb") as log:
        run = subprocess.Popen(command, cwd=ROOT, env=environment(home), stdout=log, stderr=log)
    with frozen_in(home, stage, run) as child:
        run.kill()
        run.wait()
    assert ended(child), "the stage outlived its run"
    gone = lost(before, home, stage)
    told = next(line for line in igsm(home, "status", MEMBER, COLUMNS="200").stdout.splitlines() if stage in line and "fresh" not in line)
    seconds = recover(home, stage)
    diary.write(f"kill -9 of the run in {stage}", f"status: {told.strip('│ ').rpartition('│')[2].strip()}", gone, seconds)
    assert "FAILURE" in runs_of(home), "the dead run is closed, not left running"


def runs_of(home: Path) -> list[str]:
    enter_home()
    with open_instance() as instance:
        return [run.status.value for run in instance.get_runs()]


@pytest.fixture(scope="module")
def servers(finished: Path, tmp_path_factory: pytest.TempPathFactory):
    """A webserver and a daemon on a data root of their own, over which runs are launched as in the UI."""
    home = tmp_path_factory.mktemp("servers") / "home"
    shutil.copytree(finished, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IGSM_HOME", str(home))
        patch.delenv("IGSM_EXPERIMENTS", raising=False)
        with served(home) as made:
            yield made


@pytest.mark.parametrize("stage", TOY_STAGES)
@pytest.mark.parametrize("server", ["dagster-webserver", "dagster-daemon"])
def test_a_killed_server_costs_no_finished_unit_and_the_run_comes_to_its_end(servers, diary, server, stage, monkeypatch):
    home = servers.home
    monkeypatch.setenv("IGSM_HOME", str(home))
    before = contents(home)
    forget(home, stage)
    run = servers.launch(stage)
    with frozen_in(home, stage):
        servers.kill(server)
        started = time.monotonic()
        servers.start(server)
    fresh_at = until_fresh(home)
    seconds = fresh_at - started
    status = servers.settled(run)
    assert plan(find_member(MEMBER), Store(home / "store"), deep=True).stale == ()
    message = f"the run goes on; its status becomes {status}" if status == "SUCCESS" else f"the run becomes {status} and the daemon starts it again"
    diary.write(f"kill -9 of the {server.removeprefix('dagster-')} in {stage}", message, lost(before, home, stage), seconds)


def until_fresh(home: Path) -> float:
    deadline = time.monotonic() + RUN_S
    while plan(find_member(MEMBER), Store(home / "store")).stale:
        assert time.monotonic() < deadline, "the member was never fresh again"
        time.sleep(0.5)
    return time.monotonic()
