"""The store: one folder per unit of work, addressed before it is computed, believed only with its manifest.

A **unit** is what one stage makes from one settings object and some input units: ``<root>/<stage>/<fingerprint>/``.
The fingerprint hashes the stage's name and VERSION, the unit's settings and the fingerprints of its inputs, so
that equal work has an equal address whoever asks for it. A folder is written as ``<fingerprint>.partial/``, under a lock,
and renamed once ``manifest.json``, written last, lies in it. Readers never see a partial folder; the next writer finds it and
may resume from it.

Ours: the whole scheme; see ``Store.check`` for the list of what makes a unit stale.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from igsm_pipeline.errors import StoreError
from igsm_pipeline.settings import canonical_json
from igsm_pipeline.store.files import (
    DISK,
    OWN,
    TEMPORARY,
    hash_file,
    mode_of_new,
    remove_folder,
    remove_leftovers,
    replace_folder,
    storage_errors,
    write_atomically,
)
from igsm_pipeline.store.home import find_home
from igsm_pipeline.store.locks import lock_folder
from igsm_pipeline.store.manifest import CHECKSUM, MANIFEST, checksum_of, content_of, fingerprint_of, is_altered, library_versions, read_manifest
from igsm_pipeline.store.origin import code_origin, machine_origin
from igsm_pipeline.store.unit import Unit

PARTIAL = ".partial"
NEVER, HALF_DONE = "never computed", "half done; the next run resumes it"
Scalar = int | float | str | bool | None


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
        A file of which the time alone differs, as in a copied store, gets its time back.

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
        try:
            if not (folder / MANIFEST).exists():
                partial = folder.with_name(folder.name + PARTIAL)
                return (HALF_DONE if partial.exists() else NEVER,)
            manifest = read_manifest(folder)
        except StoreError as error:
            return (str(error),)
        except PermissionError:
            return (f"{folder} cannot be read: permissions",)
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
            with storage_errors(final, OWN):
                resumed = partial.is_dir()
                if not resumed:
                    remove_folder(partial)  # a file or a link to nothing
                partial.mkdir(exist_ok=True)
                (partial / MANIFEST).unlink(missing_ok=True)
                inputs = self._as_read(unit)
                resumed = not _forget_other_inputs(partial, inputs) and resumed
            writing = Writing(partial, resumed)
            try:
                with storage_errors(final, DISK):
                    yield writing
                if self._as_read(unit) != inputs:
                    raise StoreError(f"an input of {unit.stage} {unit.name} was rebuilt with other content while it was read; rerun the stage")
                with storage_errors(final, OWN):
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
        remove_leftovers(writing.folder)
        files: dict[str, dict[str, Any]] = {}
        mode = mode_of_new(writing.folder / f".mode{TEMPORARY}")
        for path in sorted(writing.folder.rglob("*")):
            name = path.relative_to(writing.folder).as_posix()
            if path.is_file() and name not in (MANIFEST, _INPUTS):
                if not path.is_symlink():
                    path.chmod(mode)  # libraries that write through a temporary file (safetensors) leave it readable by its owner only
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
            "machine": machine_origin(),
            "code": code_origin(),
        }
        manifest[CHECKSUM] = checksum_of(json.loads(json.dumps(manifest)))
        write_atomically(writing.folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())


@dataclass
class Writing:
    """A unit being written: its private folder, whether an earlier attempt lies in it, and the counts for its manifest."""

    folder: Path
    resumed: bool
    counts: dict[str, Scalar] = field(default_factory=dict)


_INPUTS = ".inputs.json"


def _forget_other_inputs(partial: Path, inputs: Mapping[str, Any]) -> bool:
    """A partial folder that was begun from other input contents must not be resumed: empty it. Returns whether it was emptied."""
    note = partial / _INPUTS
    wanted = canonical_json({role: entry["content"] for role, entry in inputs.items()})
    if note.exists() and note.read_text() == wanted:
        return False
    for path in partial.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    write_atomically(note, wanted.encode())
    return True


def _damage(folder: Path, manifest: Mapping[str, Any], deep: bool) -> Iterator[str]:
    if is_altered(manifest):
        yield "its manifest was altered"
    for name, entry in manifest["files"].items():
        path = folder / name
        try:
            stat = path.stat()
        except PermissionError:
            yield f"file {name} cannot be read: permissions"
            continue
        except OSError:
            yield f"file {name} is missing"
            continue
        if stat.st_size != entry["bytes"]:
            yield f"file {name} has {stat.st_size} bytes instead of {entry['bytes']}"
        elif deep or stat.st_mtime_ns != entry["mtime_ns"]:
            try:
                if hash_file(path) != entry["sha256"]:
                    yield f"file {name} was altered"
                elif stat.st_mtime_ns != entry["mtime_ns"]:
                    _give_time_back(path, stat, entry["mtime_ns"])
            except PermissionError:
                yield f"file {name} cannot be read: permissions"
            except OSError as error:
                yield f"file {name} cannot be read ({error.strerror})"


def _give_time_back(path: Path, hashed: os.stat_result, mtime_ns: int) -> None:
    """Set a file's time to its manifest's, so that a copied store is hashed once; not where it changed meanwhile, or where a link leads."""
    with suppress(OSError):  # the store is read-only, or another's
        now = path.lstat()
        if (now.st_ino, now.st_size, now.st_mtime_ns) == (hashed.st_ino, hashed.st_size, hashed.st_mtime_ns):
            os.utime(path, ns=(now.st_atime_ns, mtime_ns))
