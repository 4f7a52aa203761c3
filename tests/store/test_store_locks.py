"""A lock is held by one, who is named, and ends with its process."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from igsm_pipeline.errors import UnitLocked
from igsm_pipeline.store import lock_owner, locked, locks
from igsm_pipeline.store.locks import lock_folder


def test_a_lock_is_held_by_one_and_names_it(tmp_path: Path) -> None:
    with locked(tmp_path / "deep" / "lock") as mine, locked(tmp_path / "deep" / "lock", wait=False) as other:
        assert (mine, other) == (True, False)
        assert lock_owner(tmp_path / "deep" / "lock") == str(os.getpid())
    assert lock_owner(tmp_path / "deep" / "lock") is None
    with locked(tmp_path / "deep" / "lock", wait=False) as again:
        assert again


def test_a_unit_that_is_written_is_refused_with_the_writers_id(tmp_path: Path) -> None:
    said = f"stage name is being written by process {os.getpid()}"
    with lock_folder(tmp_path / "unit", "stage name"), pytest.raises(UnitLocked, match=said), lock_folder(tmp_path / "unit", "stage name"):
        pass
    with lock_folder(tmp_path / "unit", "stage name"):
        assert (tmp_path / "unit.lock").read_text() == str(os.getpid())


@pytest.mark.parametrize("wait", [True, False])
def test_a_lock_whose_file_was_removed_while_it_was_taken_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: bool) -> None:
    lock, real = tmp_path / "lock", fcntl.flock

    def slow(handle: int, how: int) -> None:
        monkeypatch.setattr(locks.fcntl, "flock", real)
        lock.unlink()  # as whoever held it does, between the opening of the file and its lock
        real(handle, how)

    monkeypatch.setattr(locks.fcntl, "flock", slow)
    with locked(lock, wait=wait) as first, locked(lock, wait=False) as second:
        assert (first, second) == (True, False)
        assert lock.read_text() == str(os.getpid())


def test_a_killed_owner_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom igsm_pipeline.store import locked\n"
        "with locked(Path(sys.argv[1])):\n    os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "lock")], check=False).returncode == -9
    with locked(tmp_path / "lock", wait=False) as mine:
        assert mine


def test_a_lock_whose_file_goes_while_it_is_asked_for_is_still_said_to_be_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def held(path: Path, *, wait: bool = True) -> Iterator[bool]:
        yield False

    monkeypatch.setattr(locks, "locked", held)
    with pytest.raises(UnitLocked, match="stage name is being written by process unknown"), lock_folder(tmp_path / "unit", "stage name"):
        raise AssertionError("it is held")


def test_asking_who_holds_a_folder_does_not_take_the_lock_from_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared lock for a moment would refuse whoever asks for the lock in that moment."""
    monkeypatch.setattr(locks, "lock_owner", lambda _: pytest.fail("it takes the lock to ask"))
    with lock_folder(tmp_path / "unit", "a"), pytest.raises(UnitLocked, match=f"process {os.getpid()}"), lock_folder(tmp_path / "unit", "a"):
        pass
