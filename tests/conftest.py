"""One finished run of a tiny experiment, for the slow tests that need real results of every stage."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from reference.own_experiment import declare
from reference.tiny_experiment import MEMBER, write_experiment

from igsm_pipeline.planning.speeds import H100, write_speeds

settings.register_profile("untimed", deadline=None)  # how long an example takes is no claim of any test
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def environment_restored() -> Iterator[None]:
    """No test sees environment variables that an earlier one left: commands that are called within the process set some (``--quiet``)."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def tiny_store(pytestconfig: pytest.Config) -> Path:
    """A data root in which ``MEMBER`` is fresh, kept in pytest's cache: what is stale of it is computed, once for all workers. Not to be changed."""
    home = write_experiment(pytestconfig.cache.mkdir("tiny"))
    with (home / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environment = {**os.environ, "IGSM_HOME": str(home), "OMP_NUM_THREADS": "1"}
        environment.pop("IGSM_EXPERIMENTS", None)
        subprocess.run([sys.executable, "-m", "igsm_pipeline.running", "run", MEMBER], env=environment, check=True, stdout=subprocess.DEVNULL)
    return home


@pytest.fixture
def tiny_home(tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root of the test's own with the finished run in it (``IGSM_HOME`` names it)."""
    home = write_experiment(tmp_path / "home")
    shutil.copytree(tiny_store / "store", home / "store")  # times are kept, so that everything stays fresh
    monkeypatch.setenv("IGSM_HOME", str(home))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    write_speeds(H100, home)  # no test of other things waits for a measurement
    return home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root of the test's own (``IGSM_HOME`` names it) whose experiment ``mine`` is ``mini`` under another name."""
    folder = tmp_path / "home"
    monkeypatch.setenv("IGSM_HOME", str(folder))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    declare(folder, "")
    write_speeds(H100, folder)
    return folder
