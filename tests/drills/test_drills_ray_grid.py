"""A grid on a Ray cluster of two one-core nodes, workers killed in the middle: the bytes of members that are run one after another."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from reference.drill_tools import ROOT, environment, library
from reference.ray_tools import ray_cluster
from reference.stop_tools import until
from reference.store_files import same_but_for_the_clock

from igsm_pipeline.defs.graph.executors import RAY_ADDRESS
from igsm_pipeline.defs.operating.instance import enter_home, open_instance
from igsm_pipeline.experiments import find_members
from igsm_pipeline.planning.planner import find_unit
from igsm_pipeline.store import PARTIAL
from igsm_pipeline.store.locks import LOCK, lock_owner

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("dagster_ray") is None, reason="dagster-ray is not installed: pip install -e '.[ray]'"),
]
GRID, STAGES = "depths", ("world", "problem_sets", "token_shards", "checkpoint", "generations", "verdicts")
LONG_S = 1800.0
EXPERIMENT = """
title: two sizes with two seeds each, as mini_depth has three
world: {source: mini}
family: {op_max: 3, ip_max: 4, modulus: 5, op_law: uniform, split_by: problem}
tokens: {segmentation: phrase}
shards: {num_problems: 4000, window: 128}
model: {partial_rotary_factor: 0.5}
training: {num_steps: 800, batch_windows: 8, warmup_steps: 2, checkpoint_every_steps: 50, accuracy_every_steps: 100000, precision: fp32}
evaluation: {num_problems: 32, monitor_per_op: 4, max_tokens: 160, beams: [1, 4], slices: ["op<=max", "op=max"]}
probes: {tasks: []}
grid:
  size: {flat: {model.layers: 2, model.heads: 2, model.head_width: 16}, deep: {model.layers: 4, model.heads: 2, model.head_width: 12}}
  training.seed: {s0: 0, s1: 1}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with ray_cluster() as address:
        yield address


def data_root(path: Path) -> Path:
    (path / "experiments").mkdir(parents=True)
    (path / "experiments" / f"{GRID}.yaml").write_text(EXPERIMENT)
    return path


def launch(home: Path, member: str, address: str) -> subprocess.Popen[bytes]:
    """Begin the run of a member whose steps are jobs of the cluster."""
    chosen = [word for stage in STAGES for word in ("--stage", stage)]
    command = [sys.executable, "-m", "igsm_pipeline.cli", "run", member, *chosen, "--jobs", "1"]
    own = environment(home) | {RAY_ADDRESS: address}
    with (home / f"{member}.log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, env=own, stdout=log, stderr=log)


def trainings(home: Path) -> dict[str, int]:
    """Fingerprints of checkpoints that have saved a state and are being trained, each with the process that trains."""
    found = {}
    for folder in (home / "store" / "checkpoint").glob(f"*{PARTIAL}"):
        name = folder.name.removesuffix(PARTIAL)
        owner = lock_owner(folder.with_name(name + LOCK)) if any(folder.glob("state/step-?????????")) else None
        if owner:
            found[name] = int(owner)
    return found


def logs(home: Path) -> str:
    return "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in home.glob("*.log"))


def step_of(process: int) -> psutil.Process:
    """The job that a training belongs to."""
    return next(one for one in psutil.Process(process).parents() if "execute_step" in one.cmdline())


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A data root in which the members were run one after another."""
    home, started = data_root(tmp_path / "alone"), time.monotonic()
    done = library(home, "run", GRID, *(word for stage in STAGES for word in ("--stage", stage)))
    assert done.returncode == 0, done.stderr[-3000:]
    print(f"\n| 4 members one after another | {time.monotonic() - started:.0f} s |")
    return home


def test_a_grid_with_workers_killed_on_two_nodes_has_the_bytes_of_members_run_one_after_another(
    alone: Path, cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = data_root(tmp_path / "ray")
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    monkeypatch.chdir(".")
    monkeypatch.setenv("IGSM_HOME", str(home))
    monkeypatch.setenv("DAGSTER_HOME", "unset")
    enter_home()
    with open_instance() as instance:
        instance.event_log_storage.set_concurrency_slots("gpu", 2)  # as `dagster instance concurrency set gpu 2` does
    members = {find_unit(one, "checkpoint", "checkpoint").fingerprint: one.key for one in find_members([GRID])}
    assert len(members) == 4
    started = time.monotonic()
    runs = {member: launch(home, member, cluster) for member in members.values()}
    until(lambda: len(trainings(home)) == 2 or any(run.poll() is not None for run in runs.values()), "two members are trained at once", LONG_S)
    assert len(trainings(home)) == 2, f"two members are trained side by side, one on each node: {logs(home)}"
    (_, training), (other, whole) = trainings(home).items()
    step = step_of(whole)
    psutil.Process(training).kill()
    for process in (step, *step.children(recursive=True)):
        process.kill()
    failed = [member for member, run in runs.items() if run.wait(LONG_S)]
    assert failed == [members[other]], f"a killed training is tried again by its step, a killed step fails its run: {logs(home)}"
    assert any((home / "store" / "checkpoint").glob(f"{other}{PARTIAL}/state/step-*")), "what was trained is there"
    assert launch(home, members[other], cluster).wait(LONG_S) == 0
    print(f"\n| on two nodes, two kills and a second run | {time.monotonic() - started:.0f} s |")
    same_but_for_the_clock(home, alone, STAGES)
