"""A run whose steps are jobs of a Ray cluster: the page's Terminate ends it within seconds as canceled, and no job goes on; so does Ctrl-C."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from reference.drill_tools import environment, forget, library, served
from reference.ray_tools import ray_cluster
from reference.stop_tools import in_terminal, until

from igsm_pipeline.defs.graph.executors import RAY_ADDRESS
from igsm_pipeline.defs.operating.instance import enter_home, open_instance
from igsm_pipeline.store import PARTIAL

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("dagster_ray") is None, reason="dagster-ray is not installed: pip install -e '.[ray]'"),
]
MEMBER, LIMIT_S = "stopped", 10.0
STAGES = {"problem_sets": (), "checkpoint": ("problem_sets", "token_shards")}
"""Stages to stop: one in a single process without a state, and one of torch that saves its state; and what each needs to be finished."""
EXPERIMENT = """
title: stages take long enough to be stopped in the middle
world: {source: mini}
family: {op_max: 3, ip_max: 4, modulus: 5, op_law: uniform, split_by: problem}
tokens: {segmentation: phrase}
shards: {num_problems: NUMBER, window: 128}
model: {layers: 2, heads: 2, head_width: 16, partial_rotary_factor: 0.5}
training: {num_steps: 100000, batch_windows: 8, warmup_steps: 2, checkpoint_every_steps: 100000, accuracy_every_steps: 100000, precision: fp32}
evaluation: {num_problems: 160, problems_per_op: 8, monitor_per_op: 4, max_tokens: 160, slices: ["op<=max"]}
probes: {tasks: [nece], slices: ["op<=max"], num_problems: 64, num_steps: 2, batch_problems: 8, per_problem: 4, starts: 1}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with ray_cluster() as address:
        yield address


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    (tmp_path / "experiments").mkdir()
    return tmp_path


def prepare(home: Path, stage: str) -> None:
    """Finish what a stage needs."""
    number = "400000" if stage == "problem_sets" else "2000"
    (home / "experiments" / f"{MEMBER}.yaml").write_text(EXPERIMENT.replace("NUMBER", number))
    done = library(home, "run", MEMBER, *(word for each in ("world", *STAGES[stage]) for word in ("--stage", each)))
    assert done.returncode == 0, done.stderr[-3000:]


def working(home: Path) -> list[psutil.Process]:
    """Processes of this data root that compute a step or a stage, wherever Ray has started them."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if ("execute_step" in words or "igsm_pipeline.running" in words) and process.environ().get("IGSM_HOME") == str(home):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


def in_the_middle(home: Path, stage: str) -> None:
    until(lambda: any((home / "store" / stage).glob(f"*{PARTIAL}")), f"{stage} has begun", 600)
    time.sleep(2.0)
    assert any((home / "store" / stage).glob(f"*{PARTIAL}")), f"{stage} was over before it could be stopped"
    assert working(home)


@pytest.mark.parametrize("stage", STAGES)
def test_the_pages_terminate_ends_the_jobs_of_a_run(home, cluster, stage):
    prepare(home, stage)
    with served(home, **{RAY_ADDRESS: cluster, "IGSM_JOBS": "1"}) as servers:
        run = servers.launch(stage, MEMBER)
        in_the_middle(home, stage)
        started = time.monotonic()
        answer = servers.ask("mutation($id: String!) { terminateRun(runId: $id) { __typename } }", id=run)
        assert answer["terminateRun"]["__typename"] == "TerminateRunSuccess"
        seconds = until(lambda: not working(home), f"{stage} goes on", 90)
        status = servers.settled(run)
        print(f"\n| Terminate | page, on Ray | {stage} | {status} | {seconds:.1f} | {time.monotonic() - started:.1f}")
        assert status == "CANCELED"
        assert seconds < LIMIT_S
    forget(home, stage)


@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_at_igsm_run_ends_the_jobs_of_its_run(home, cluster, stage):
    prepare(home, stage)
    command = [sys.executable, "-m", "igsm_pipeline.cli", "run", MEMBER, "--stage", stage, "--jobs", "1"]
    with in_terminal(command, environment(home) | {RAY_ADDRESS: cluster}) as terminal:
        in_the_middle(home, stage)
        terminal.family()
        terminal.key()
        seconds = until(lambda: not working(home), f"{stage} goes on", 90)
        until(lambda: terminal.process.poll() is not None, "igsm run goes on", 90)
        code = terminal.process.wait()
    enter_home()
    with open_instance() as instance:
        (run,) = instance.get_runs(limit=1)
    print(f"\n| SIGINT | igsm run, on Ray | {stage} | {code}, {run.status.value} | {seconds:.1f} |")
    assert (code, run.status.value) == (130, "CANCELED")
    assert seconds < LIMIT_S
