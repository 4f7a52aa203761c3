"""The store: one folder per unit of work, addressed before it is computed, believed only with its manifest.

A **unit** is what one stage makes from one settings object and some input units: ``<root>/<stage>/<fingerprint>/``.
The fingerprint hashes the stage's name and VERSION, the unit's settings and the fingerprints of its inputs, so
that equal work has an equal address whoever asks for it. A folder is written as ``<fingerprint>.partial/``, under a lock,
and renamed once ``manifest.json``, written last, lies in it. Readers never see a partial folder; the next writer finds it and
may resume from it.

Ours: the whole scheme; see ``Store.check`` for the list of what makes a unit stale.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from igsm_pipeline.errors import NotFound, StoreError, UnitLocked
from igsm_pipeline.settings import canonical_json, hash_json

MANIFEST = "manifest.json"
CLOCK = "clock.jsonl"  # rates of a stage that keeps them: checked like any file, but no part of a unit's content
PARTIAL, OLD, LOCK = ".partial", ".old", ".lock"
NEVER, HALF_DONE = "never computed", "half done; the next run resumes it"
_LIBRARIES = ("numpy", "numba", "pyarrow", "torch", "transformers", "safetensors", "pydantic")
Scalar = int | float | str | bool | None


@dataclass(frozen=True)
class Unit:
    """One addressable piece of work.

    Attributes:
        stage: name of the stage ("token_shards").
        name: what this unit is within its stage ("train", "op=max"); for people, not part of the address.
        version: the stage's VERSION.
        settings: the settings it reads, as canonical JSON values.
        inputs: role -> input unit.
        runtime: settings that cannot change results (device, workers); not part of the address.
        labels: what tells it from the other units of its stage (slice, beams, task); for views and reports, not part of the address.
    """

    stage: str
    name: str
    version: int
    settings: Mapping[str, Any]
    inputs: Mapping[str, Unit] = field(default_factory=dict)
    runtime: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """20 hexadecimal digits: the unit's address."""
        cached: str | None = self.__dict__.get("_fingerprint")
        if cached is None:
            inputs = {role: unit.fingerprint for role, unit in self.inputs.items()}
            cached = hash_json([self.stage, self.version, self.settings, inputs])
            object.__setattr__(self, "_fingerprint", cached)
        return cached

    def __hash__(self) -> int:
        return hash((self.stage, self.fingerprint))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unit) and (self.stage, self.fingerprint) == (other.stage, other.fingerprint)


@dataclass(frozen=True)
class Freshness:
    """Whether a unit can be used as it lies.

    Attributes:
        reasons: why not, in words; empty: fresh.
        waits: nothing but stale inputs speaks against it; rebuilt with equal content they leave it fresh.
    """

    reasons: tuple[str, ...] = ()
    waits: bool = False

    @property
    def fresh(self) -> bool:
        """True iff nothing speaks against using the unit."""
        return not self.reasons


def find_home() -> Path:
    """The project's data root: ``IGSM_HOME``, else ``data/`` beside the nearest dagster.yaml upwards.

    Raises:
        NotFound: neither exists.
    """
    named = os.environ.get("IGSM_HOME")
    if named:
        return Path(named).expanduser().resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dagster.yaml").is_file():
            return folder / "data"
    raise NotFound(f"no data root: IGSM_HOME is not set and no dagster.yaml lies in {here} or above; set IGSM_HOME or change folder")


class Store:
    """All units under one folder (``<home>/store``)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def at_home(cls) -> Store:
        """The store of the current data root."""
        return cls(find_home() / "store")

    def path(self, unit: Unit) -> Path:
        """The folder of a unit, whether it exists or not."""
        return self.root / unit.stage / unit.fingerprint

    def manifest(self, unit: Unit) -> dict[str, Any]:
        """The manifest of a complete unit.

        Raises:
            StoreError: there is none, or it cannot be read.
        """
        return read_manifest(self.path(unit))

    def check(self, unit: Unit, *, deep: bool = False, known: dict[Unit, Freshness] | None = None) -> Freshness:
        """Whether a unit is fresh; every reason why not, in words.

        Stale is: no manifest; a manifest that cannot be read or belongs to other settings; a file missing, of another size or
        altered (size and modification time; with ``deep`` its SHA-256); an input that is itself not fresh, or was rebuilt with other content.

        Args:
            unit: what to look at.
            deep: re-hash every file.
            known: answers of earlier calls, to look at each unit once; filled by this one.
        """
        known = {} if known is None else known
        if unit not in known:
            own = self.check_own(unit, deep=deep)
            stale, rebuilt = self._input_reasons(unit, deep, known) if own != (NEVER,) else ((), ())
            known[unit] = Freshness((*own, *rebuilt, *stale), bool(stale) and not own and not rebuilt)
        return known[unit]

    def check_own(self, unit: Unit, *, deep: bool = False) -> tuple[str, ...]:
        """What speaks against a unit's own folder, its inputs not looked at; empty: nothing."""
        folder = self.path(unit)
        if not (folder / MANIFEST).exists():
            partial = folder.with_name(folder.name + PARTIAL)
            return (HALF_DONE if partial.exists() else NEVER,)
        try:
            manifest = read_manifest(folder)
        except StoreError as error:
            return (str(error),)
        if fingerprint_of(manifest) != unit.fingerprint:
            return ("its manifest belongs to other settings",)
        return tuple(_damage(folder, manifest, deep))

    def _input_reasons(self, unit: Unit, deep: bool, known: dict[Unit, Freshness]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Inputs that are stale, and inputs that were rebuilt with other content than this unit read."""
        try:
            as_read = self.manifest(unit)["inputs"]
        except StoreError:
            as_read = None
        stale, rebuilt = [], []
        for role, source in unit.inputs.items():
            label = f"input {role} ({source.stage} {source.name})"
            if not self.check(source, deep=deep, known=known).fresh:
                stale.append(f"{label} is stale")
            elif as_read is not None and as_read.get(role, {}).get("content") != self.manifest(source)["content"]:
                rebuilt.append(f"{label} was rebuilt with other content")
        return tuple(stale), tuple(rebuilt)

    @contextmanager
    def write(self, unit: Unit, *, keep_partial: bool = True) -> Iterator[Writing]:
        """Write a unit: yields a ``Writing`` whose ``folder`` is private until the block ends without an exception.

        A partial folder of an earlier, interrupted writer is handed over as it is (``resumed`` is then true). On an exception it is
        kept for the next writer unless ``keep_partial`` is false.

        Raises:
            UnitLocked: another process is writing the same unit.
            StoreError: the disk is full or read-only; what was there before is untouched.
        """
        final = self.path(unit)
        partial = final.with_name(final.name + PARTIAL)
        with lock_folder(final, f"{unit.stage} {unit.name}"):
            started = time.monotonic()
            with _storage_errors(final, _OWN):
                resumed = partial.exists()
                partial.mkdir(exist_ok=True)
                (partial / MANIFEST).unlink(missing_ok=True)
                inputs = self._as_read(unit)
                resumed = not _forget_other_inputs(partial, inputs) and resumed
            writing = Writing(partial, resumed)
            try:
                with _storage_errors(final, _DISK):
                    yield writing
                if self._as_read(unit) != inputs:
                    raise StoreError(f"an input of {unit.stage} {unit.name} was rebuilt with other content while it was read; rerun the stage")
                with _storage_errors(final, _OWN):
                    self._seal(unit, writing, inputs, time.monotonic() - started)
                    replace_folder(partial, final)
            except BaseException:
                if not keep_partial:
                    shutil.rmtree(partial, ignore_errors=True)
                raise

    def _as_read(self, unit: Unit) -> dict[str, dict[str, str]]:
        contents = {role: self.manifest(source)["content"] for role, source in unit.inputs.items()}
        return {
            role: {"stage": source.stage, "name": source.name, "fingerprint": source.fingerprint, "content": contents[role]}
            for role, source in unit.inputs.items()
        }

    def _seal(self, unit: Unit, writing: Writing, inputs: Mapping[str, Any], seconds: float) -> None:
        for leftover in writing.folder.rglob("*.tmp"):
            leftover.unlink()
        files: dict[str, dict[str, Any]] = {}
        for path in sorted(writing.folder.rglob("*")):
            name = path.relative_to(writing.folder).as_posix()
            if path.is_file() and name not in (MANIFEST, _INPUTS):
                stat = path.stat()
                files[name] = {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": hash_file(path, flush=True)}
        manifest = {
            "stage": unit.stage,
            "name": unit.name,
            "version": unit.version,
            "settings": unit.settings,
            "runtime": unit.runtime,
            "inputs": inputs,
            "content": content_of(files),
            "files": files,
            "bytes": sum(entry["bytes"] for entry in files.values()),
            "counts": dict(writing.counts),
            "seconds": round(seconds, 3),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "libraries": library_versions(),
            "machine": {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine()},
        }
        write_atomically(writing.folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())


@dataclass
class Writing:
    """A unit being written: its private folder, whether an earlier attempt lies in it, and the counts for its manifest."""

    folder: Path
    resumed: bool
    counts: dict[str, Scalar] = field(default_factory=dict)


def library_versions() -> dict[str, str]:
    """Versions of the libraries that results depend on, absent ones left out."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest in a unit folder.

    Raises:
        StoreError: it is missing or damaged.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise StoreError(f"{path} must exist for the unit to be used; run its stage") from None
    except (ValueError, OSError) as error:
        raise StoreError(f"manifest {path} cannot be read ({error}); rerun the stage to rebuild it") from None
    if not isinstance(manifest, dict) or not {"stage", "version", "settings", "files", "content", "inputs", "counts"} <= manifest.keys():
        raise StoreError(f"manifest {path} is not a manifest; rerun the stage to rebuild it")
    return manifest


def fingerprint_of(manifest: Mapping[str, Any]) -> str:
    """The address that a manifest's own account gives: what ``Unit.fingerprint`` was when it was written."""
    inputs = {role: entry["fingerprint"] for role, entry in manifest["inputs"].items()}
    return hash_json([manifest["stage"], manifest["version"], manifest["settings"], inputs])


def content_of(files: Mapping[str, Mapping[str, Any]]) -> str:
    """The content hash of a unit: over the names and SHA-256 of its files, ``CLOCK`` aside, so that equal work done at another pace is equal."""
    return hash_json({name: entry["sha256"] for name, entry in files.items() if name != CLOCK})


def hash_file(path: Path, *, flush: bool = False) -> str:
    """SHA-256 of a file, in hexadecimal; with ``flush`` its bytes are on the disk afterwards."""
    with path.open("rb") as stream:
        if flush:
            os.fsync(stream.fileno())
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a whole file so that a crash leaves either the old content or the new, never a part."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


_INPUTS = ".inputs.json"


def _forget_other_inputs(partial: Path, inputs: Mapping[str, Any]) -> bool:
    """A partial folder that was begun from other input contents must not be resumed: empty it. Returns whether it was emptied."""
    note = partial / _INPUTS
    wanted = canonical_json({role: entry["content"] for role, entry in inputs.items()})
    if note.exists() and note.read_text() == wanted:
        return False
    for path in partial.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_atomically(note, wanted.encode())
    return True


def _damage(folder: Path, manifest: Mapping[str, Any], deep: bool) -> Iterator[str]:
    if manifest["content"] != content_of(manifest["files"]):
        yield "its manifest was altered"
    for name, entry in manifest["files"].items():
        path = folder / name
        try:
            stat = path.stat()
        except OSError:
            yield f"file {name} is missing"
            continue
        if stat.st_size != entry["bytes"]:
            yield f"file {name} has {stat.st_size} bytes instead of {entry['bytes']}"
        elif (deep or stat.st_mtime_ns != entry["mtime_ns"]) and hash_file(path) != entry["sha256"]:
            yield f"file {name} was altered"


def replace_folder(partial: Path, final: Path) -> None:
    """Move a whole unit folder to its address, in place of what may lie there; the caller holds the lock."""
    final.parent.mkdir(parents=True, exist_ok=True)
    old = final.with_name(final.name + OLD)
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    partial.rename(final)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def lock_folder(final: Path, label: str) -> Iterator[None]:
    """Hold the lock of one unit folder, so that nobody else writes or removes it; the lock ends with its process.

    Raises:
        UnitLocked: another process, named in the message, holds it.
    """
    with _storage_errors(final, _OWN):
        final.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(final.with_name(final.name + LOCK), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            raise UnitLocked(f"{label} is being written by process {owner}; wait for it or stop it") from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


_DISK = {
    errno.ENOSPC: "the disk is full; free space or set IGSM_HOME to another disk, then rerun (finished units are untouched)",
    errno.EDQUOT: "the disk quota is used up; free space, then rerun (finished units are untouched)",
    errno.EROFS: "the store lies on a read-only file system; mount it writable or set IGSM_HOME elsewhere",
}
_OWN = _DISK | {errno.EACCES: "the store may not be written by this user; fix its permissions or set IGSM_HOME elsewhere"}


@contextmanager
def _storage_errors(path: Path, known: Mapping[int, str]) -> Iterator[None]:
    """Turn what the disk says into a StoreError; within a stage (``_DISK``) a refused permission is the stage's own affair."""
    try:
        yield
    except OSError as error:
        advice = known.get(error.errno or 0)
        if advice is None:
            raise
        raise StoreError(f"cannot write {path}: {advice}") from error
