"""A finished member, made once, and a copy of it for each drill to harm."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest
from reference.drill_tools import Diary, make_finished


@pytest.fixture(scope="session")
def finished(pytestconfig: pytest.Config) -> Path:
    """A data root whose member is finished, kept in pytest's cache: what is stale of it is computed. Not to be changed."""
    home = pytestconfig.cache.mkdir("toy")
    with pytest.MonkeyPatch.context() as patch, (home / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        patch.setenv("IGSM_HOME", str(home))
        patch.delenv("IGSM_EXPERIMENTS", raising=False)
        make_finished(home)
    return home


@pytest.fixture
def home(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to harm."""
    copy = tmp_path / "home"
    shutil.copytree(finished, copy)
    monkeypatch.setenv("IGSM_HOME", str(copy))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    return copy


@pytest.fixture(scope="session")
def diary():
    """Where drills write how they went; says so where the page was asked for and some of its drills did not run."""
    made = Diary()
    yield made
    if os.environ.get("IGSM_WRITE_DOCS") and made.missing():
        pytest.fail(f"docs/faults.md is written by one call that does every drill of a fault; this one did not do: {', '.join(made.missing())}")
