"""A V-probe that the machine killed in the middle ends, after a rerun of the same command, byte for byte as one that was never disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.planner import find_unit
from igsm_pipeline.probes.v_training import STATE
from igsm_pipeline.running.child import SHOWS_PROGRESS
from igsm_pipeline.running.runner import run_units
from igsm_pipeline.store import PARTIAL, Store, Unit

MEMBER, UNIT = "killed", "known random"
FILE = """
world: {source: mini}
family: {op_max: 2, ip_max: 3, modulus: 3, op_law: uniform, split_by: problem}
tokens: {segmentation: phrase}
shards: {num_problems: 8, window: 256}
model: {layers: 1, heads: 1, head_width: 16}
evaluation: {num_problems: 8, problems_per_op: 4, monitor_per_op: 4, slices: []}
probes: {tasks: [known], num_problems: 64, num_steps: 1200, batch_problems: 4, slices: []}
"""
COMMAND = [sys.executable, "-m", "igsm_pipeline.running", "run", MEMBER, "--stage", "v_probes", "--unit", UNIT]


def prepare(home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Unit, Path, dict[str, str]]:
    """Everything before the probe; its unit, the folder it will lie in, and the environment of the command."""
    (home / "experiments").mkdir(parents=True)
    (home / "experiments" / f"{MEMBER}.yaml").write_text(FILE)
    monkeypatch.setenv("IGSM_HOME", str(home))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    member, store = find_member(MEMBER), Store.at_home()
    for stage in ("world", "problem_sets", "probe_queries", "control"):
        run_units(member, stage, store)
    unit = find_unit(member, "v_probes", UNIT)
    return unit, store.path(unit), {**os.environ, "OMP_NUM_THREADS": "1", SHOWS_PROGRESS: "1"}


@pytest.mark.slow
def test_a_killed_command_run_again_gives_the_bytes_of_an_undisturbed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole, environment = prepare(tmp_path / "whole", monkeypatch)
    subprocess.run(COMMAND, env=environment, check=True, capture_output=True)
    unit, cut, environment = prepare(tmp_path / "cut", monkeypatch)
    partial = cut.with_name(cut.name + PARTIAL)
    running = subprocess.Popen(COMMAND, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (partial / STATE).exists():
        assert running.poll() is None, "the command ended before its first state"
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert not Store.at_home().check(unit).fresh
    again = subprocess.run(COMMAND, env=environment, check=True, capture_output=True, text=True)
    assert "1000/1200" in again.stderr, "the rerun went on from the state"
    for name in ("probe.safetensors", "losses.parquet", "probe.json"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name
