"""Files that appear whole or not at all, and what the disk says in words."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from igsm_pipeline.errors import BadSettings, StoreError
from igsm_pipeline.processes.stopping import cleaned_up

OLD = ".old"
TEMPORARY = ".tmp"
"""How names end that are being written to; whatever ends so and is not being written to may be removed."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Write a file so that a crash leaves the old content or the new one, never a part: the one way this package writes files.

    The block gets another name in the same folder, which nobody else uses and no file has yet. Once the block ends well, its bytes are brought to the
    disk and it takes the place of ``path``; otherwise it is removed. The file has the permissions that the umask gives any new file, however the
    block made it. Devices and pipes are written directly; of a link, the file that it leads to is replaced.

        with written_whole(folder / "summary.json") as temporary:
            temporary.write_text("{}")

    Args:
        path: the file to be.

    Yields:
        The path to write to.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    target = path.resolve()
    temporary = target.with_name(f".{target.name[:100]}.{os.getpid()}.{secrets.token_hex(4)}{TEMPORARY}")
    mode = mode_of_new(temporary)
    with half_written(temporary):
        yield temporary
        handle = os.open(temporary, os.O_RDONLY)
        try:
            os.fchmod(handle, mode)
            os.fsync(handle)
        finally:
            os.close(handle)
        temporary.replace(target)


@contextmanager
def half_written(path: Path) -> Iterator[None]:
    """What is left of a file or folder when the block ends is removed, also if this process is ended at once in the middle of it."""
    with cleaned_up(lambda: remove_folder(path, ignore_errors=True)):
        yield


def write_atomically(path: Path, data: bytes) -> None:
    """Write bytes as a whole file; see ``written_whole``."""
    with written_whole(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def new_folder(folder: Path, asked_by: str, option: str = "--out") -> Iterator[Path]:
    """Fill a folder so that it appears whole or not at all.

    Args:
        folder: the folder to be; it may be there if it is empty.
        asked_by: the option because of which a folder is written, for errors.
        option: the folder's own option.

    Yields:
        A folder to write into.

    Raises:
        BadSettings: there is a file, or a folder that holds something.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise BadSettings(option, f"must be a new or empty folder with {asked_by}", str(folder), "name another")
    target = folder.absolute()
    temporary = target.with_name(f".{target.name[:100]}.{os.getpid()}{TEMPORARY}")
    with half_written(temporary):
        temporary.mkdir(parents=True)
        yield temporary
        if target.is_dir():
            target.rmdir()
        temporary.rename(target)


def remove_leftovers(folder: Path) -> None:
    """Remove the half-written files of an attempt that was killed, at every depth; nobody may be writing below ``folder``."""
    for path in folder.rglob(f"*{TEMPORARY}"):
        if path.is_file() or path.is_symlink():
            path.unlink(missing_ok=True)


def mode_of_new(path: Path) -> int:
    """The permissions that a new file gets at a path where there is none; asked by making one and removing it, since reading the umask would change
    it for other threads."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return os.fstat(handle).st_mode & 0o777
    finally:
        os.close(handle)
        path.unlink()


def hash_file(path: Path, *, flush: bool = False) -> str:
    """SHA-256 of a file, in hexadecimal; with ``flush`` its bytes are on the disk afterwards."""
    with path.open("rb") as stream:
        if flush:
            os.fsync(stream.fileno())
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_unchanged(path: Path) -> str:
    """SHA-256 of a file, as ``hash_file`` gives it; a file whose time and size have not changed since this process hashed it is not read again."""
    state = path.stat()
    return _hash_known(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4096)
def _hash_known(path: Path, _mtime_ns: int, _size: int) -> str:
    return hash_file(path)


def replace_folder(partial: Path, final: Path) -> None:
    """Move a whole unit folder to its address, in place of what may lie there; the caller holds the lock.

    Where a link lies there, the link is replaced, and the folder that it leads to is left alone.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    old = final.with_name(final.name + OLD)
    remove_folder(old, ignore_errors=True)
    if final.exists() or final.is_symlink():
        final.rename(old)
    partial.rename(final)
    remove_folder(old, ignore_errors=True)


def remove_folder(path: Path, *, ignore_errors: bool = False) -> None:
    """Remove a folder with what is in it, a file, or a link without what it leads to; nothing there is no error."""
    try:
        if path.is_symlink() or path.is_file():
            path.unlink(missing_ok=True)
        elif path.exists():
            shutil.rmtree(path, ignore_errors=ignore_errors)
    except OSError:
        if not ignore_errors:
            raise


DISK = {
    errno.ENOSPC: "the disk is full; free space or set IGSM_HOME to another disk, then rerun (finished units are untouched)",
    errno.EDQUOT: "the disk quota is used up; free space, then rerun (finished units are untouched)",
    errno.EROFS: "the store lies on a read-only file system; mount it writable or set IGSM_HOME elsewhere",
}
OWN = DISK | {errno.EACCES: "the store may not be written by this user; fix its permissions or set IGSM_HOME elsewhere"}


@contextmanager
def storage_errors(path: Path, known: Mapping[int, str]) -> Iterator[None]:
    """Turn what the disk says into a StoreError; within a stage (``DISK``) a refused permission is the stage's own affair."""
    try:
        yield
    except OSError as error:
        advice = known.get(error.errno or 0)
        if advice is None:
            raise
        raise StoreError(f"cannot write {path}: {advice}") from error
