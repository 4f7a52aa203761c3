"""One finished run of a tiny experiment, for the slow tests that need real results of every stage."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MEMBER, SIBLING = "tiny.s0", "tiny.s1"
EXPERIMENT = """
title: every stage in seconds
world: {source: mini}
family: {op_max: 3, ip_max: 4, modulus: 5, op_law: uniform, split_by: problem}
tokens: {segmentation: phrase, vocab: compact}
shards: {num_problems: 512, window: 128}
model: {layers: 2, heads: 2, head_width: 16, partial_rotary_factor: 0.5}
training: {num_steps: 12, batch_windows: 8, warmup_steps: 2, checkpoint_every_steps: 6, accuracy_every_steps: 12}
evaluation: {num_problems: 24, problems_per_op: 8, monitor_per_op: 4, max_tokens: 160, slices: ["op<=max", "op=max", "op=max+1", reask, by_op]}
probes: {num_problems: 60, num_steps: 3, batch_problems: 8, slices: ["op<=max"]}
grid: {training.seed: {s0: 0, s1: 1}}
"""


def write_experiment(home: Path) -> Path:
    """Give a data root the tiny experiment."""
    (home / "experiments").mkdir(parents=True, exist_ok=True)
    (home / "experiments" / "tiny.yaml").write_text(EXPERIMENT)
    return home


@pytest.fixture(scope="session")
def tiny_store(pytestconfig: pytest.Config) -> Path:
    """A data root in which ``MEMBER`` is fresh, kept in pytest's cache: what is stale of it is computed, once for all workers. Not to be changed."""
    home = write_experiment(pytestconfig.cache.mkdir("tiny"))
    with (home / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environment = {**os.environ, "IGSM_HOME": str(home), "OMP_NUM_THREADS": "1"}
        environment.pop("IGSM_EXPERIMENTS", None)
        subprocess.run([sys.executable, "-m", "igsm_pipeline.experiments", "run", MEMBER], env=environment, check=True, stdout=subprocess.DEVNULL)
    return home


@pytest.fixture
def tiny_home(tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root of the test's own with the finished run in it (``IGSM_HOME`` names it)."""
    home = write_experiment(tmp_path / "home")
    shutil.copytree(tiny_store / "store", home / "store")  # times are kept, so that everything stays fresh
    monkeypatch.setenv("IGSM_HOME", str(home))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    return home
