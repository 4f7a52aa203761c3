"""Locks: one process at a time, ended by the kernel with its process, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from igsm_pipeline.errors import UnitLocked
from igsm_pipeline.store.files import OWN, storage_errors

LOCK = ".lock"


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold an exclusive lock on a file for the length of a block. The file then holds the id of this process.

    Args:
        path: the lock's file; it and its folder are made where they are missing.
        wait: wait for whoever holds it; otherwise the block runs without it.

    Yields:
        Whether the lock is held.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    flags, how = os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)
    handle = os.open(path, flags, 0o666)
    try:
        try:
            fcntl.flock(handle, how)
            while not _is_at(handle, path):  # whoever held it has removed the file: its lock locks nobody out
                gone, handle = handle, os.open(path, flags, 0o666)
                os.close(gone)
                fcntl.flock(handle, how)
        except BlockingIOError:
            yield False
            return
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield True
    finally:
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def lock_owner(lock: Path) -> str | None:
    """The id of the process that holds a lock's file; None where nobody does."""
    with lock.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _named_in(lock)
    return None


def _named_in(lock: Path) -> str:
    """The process that a lock's file names; unlike ``lock_owner`` it does not touch the lock, which others may be asking for."""
    try:
        return lock.read_text(encoding="ascii", errors="replace").strip() or "unknown"
    except OSError:
        return "unknown"


def is_locked(lock: Path) -> bool:
    """Whether a process holds a lock; its file may be missing."""
    try:
        return lock_owner(lock) is not None
    except FileNotFoundError:
        return False


@contextmanager
def lock_folder(final: Path, label: str) -> Iterator[None]:
    """Hold the lock of one unit folder, so that nobody else writes or removes it; the lock ends with its process.

    Args:
        final: the unit's folder, whether it exists or not.
        label: what the message calls the unit.

    Raises:
        UnitLocked: another process, named in the message, holds it.
        StoreError: the lock's file cannot be made.
    """
    lock = final.with_name(final.name + LOCK)
    with ExitStack() as stack:
        with storage_errors(final, OWN):
            held = stack.enter_context(locked(lock, wait=False))
        if not held:
            raise UnitLocked(f"{label} is being written by process {_named_in(lock)}; wait for it or stop it")
        yield
