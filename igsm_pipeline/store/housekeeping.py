"""Keep the store small, and move units between machines.

An exported file is a plain tar of unit folders (``<stage>/<fingerprint>/...``), each with its manifest; nothing in it is believed on arrival
that is not hashed again.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from igsm_pipeline.errors import BadInput, StoreError
from igsm_pipeline.store.store import (
    LOCK,
    MANIFEST,
    OLD,
    PARTIAL,
    Store,
    Unit,
    content_of,
    fingerprint_of,
    hash_file,
    lock_folder,
    read_manifest,
    replace_folder,
)

_STAGE = re.compile(r"[a-z][a-z_]*")
_UNIT = re.compile(rf"[0-9a-f]{{20}}({re.escape(PARTIAL)}|{re.escape(OLD)})?")


@dataclass(frozen=True)
class Leftover:
    """A folder of the store that nothing refers to.

    Attributes:
        path: the folder.
        bytes: its size.
        kind: "unit", "half done" or "old".
    """

    path: Path
    bytes: int
    kind: str


def find_garbage(store: Store, wanted: Iterable[Unit]) -> list[Leftover]:
    """Folders of stages that no wanted unit stands for: finished units, half-done ones, and copies left by a crash.

    Half-done folders of wanted units are kept, since the next run resumes them. Folders that are not named like units are never touched.
    """
    keep = {(unit.stage, unit.fingerprint) for unit in wanted}
    found = []
    for folder in sorted(store.root.iterdir()) if store.root.is_dir() else []:
        stage = folder.name
        for path in sorted(folder.iterdir()) if folder.is_dir() and _STAGE.fullmatch(stage) else []:
            if path.is_dir() and _UNIT.fullmatch(path.name) and ((stage, path.name.split(".")[0]) not in keep or path.suffix == OLD):
                kind = "half done" if path.suffix == PARTIAL else "old" if path.suffix == OLD else "unit"
                found.append(Leftover(path, _size(path), kind))
    return found


def remove_garbage(garbage: Iterable[Leftover]) -> tuple[int, int]:
    """Remove folders that ``find_garbage`` found, passing over those being written. Returns (folders, bytes) removed."""
    folders, freed = 0, 0
    for leftover in garbage:
        final = leftover.path.with_name(leftover.path.name.split(".")[0])
        try:
            with lock_folder(final, f"{final.parent.name} {final.name}"):
                shutil.rmtree(leftover.path)
        except StoreError:
            continue
        lock = final.with_name(final.name + LOCK)
        if not final.exists() and not final.with_name(final.name + PARTIAL).exists():
            lock.unlink(missing_ok=True)
        folders, freed = folders + 1, freed + leftover.bytes
    return folders, freed


def lock_owner(lock: Path) -> str | None:
    """The id of the process that holds a unit's lock file; None where nobody does."""
    with lock.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return stream.read(32).decode(errors="replace").strip() or "unknown"
    return None


def distrust(store: Store, unit: Unit) -> list[str]:
    """Show everyday checks what a deep one saw: files altered behind their size and time get a new time. Returns their names."""
    folder, found = store.path(unit), []
    for name, entry in store.manifest(unit)["files"].items() if (folder / MANIFEST).exists() else ():
        path = folder / name
        if path.exists() and path.stat().st_mtime_ns == entry["mtime_ns"] and hash_file(path) != entry["sha256"]:
            os.utime(path)
            found.append(name)
    return found


def export_units(store: Store, units: Iterable[Unit], target: Path) -> int:
    """Write fresh units to a tar file, each once, inputs before what reads them. Returns how many.

    Raises:
        StoreError: a unit is not fresh, or nothing is to be written.
    """
    chosen = list(dict.fromkeys(units))
    if not chosen:
        raise StoreError(f"nothing to export to {target}: no unit was named; name a member or stage that has finished units")
    for unit in chosen:
        own = store.check_own(unit)
        if own:
            raise StoreError(f"{unit.stage} {unit.name} cannot be exported: {'; '.join(own)}; run its stage first")
        folder = store.path(unit).resolve()
        if any(not (folder / name).resolve().is_relative_to(folder) for name in store.manifest(unit)["files"]):
            raise StoreError(f"{unit.stage} {unit.name} cannot be exported: its manifest names a file elsewhere; remove the unit and run its stage")
    temporary = target.with_name(target.name + ".tmp")
    with tarfile.open(temporary, "w") as tar:
        for unit in chosen:
            folder = store.path(unit)
            for name in (*store.manifest(unit)["files"], MANIFEST):
                tar.add(folder / name, arcname=f"{unit.stage}/{unit.fingerprint}/{name}", recursive=False)
    temporary.replace(target)
    return len(chosen)


@dataclass(frozen=True)
class Imported:
    """What an import did: units taken in, units that were there with the same content, units kept because theirs differed."""

    added: tuple[str, ...]
    present: tuple[str, ...]
    kept: tuple[str, ...]


def import_units(store: Store, source: Path, *, replace: bool = False) -> Imported:
    """Take in the units of an exported file; each is hashed in full before it is believed.

    Args:
        store: where they go.
        source: a file that ``export_units`` wrote.
        replace: let a unit of other content (a checkpoint trained elsewhere, say) take the place of the one here.

    Raises:
        BadInput: the file is no such tar, holds names that lead elsewhere, or a unit does not match its manifest or its address.
    """
    waiting = store.root / f".import.{os.getpid()}"
    shutil.rmtree(waiting, ignore_errors=True)
    added, present, kept = [], [], []
    try:
        for folder in _unpack(source, waiting):
            stage, fingerprint = folder.parent.name, folder.name
            manifest = _checked_manifest(folder, source)
            final = store.root / stage / fingerprint
            label = f"{stage} {manifest['name']} {fingerprint}"
            with lock_folder(final, label):
                here = _content_here(final)
                if here == manifest["content"]:
                    present.append(label)
                elif here is not None and not replace:
                    kept.append(label)
                else:
                    replace_folder(folder, final)
                    added.append(label)
    finally:
        shutil.rmtree(waiting, ignore_errors=True)
    return Imported(tuple(added), tuple(present), tuple(kept))


def _unpack(source: Path, waiting: Path) -> Iterator[Path]:
    """Unpack a whole tar of plain files below ``waiting``; yields the unit folders in the file's order."""
    folders: dict[Path, None] = {}
    try:
        with tarfile.open(source, "r:") as tar:
            for entry in tar:
                parts = PurePosixPath(entry.name).parts
                if not entry.isreg() or len(parts) < 3 or ".." in parts or not (_STAGE.fullmatch(parts[0]) and _UNIT.fullmatch(parts[1])):
                    raise BadInput(f"{source}", "must hold only files of units", entry.name, "export it again")
                target = waiting.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                stream = tar.extractfile(entry)
                assert stream is not None  # a regular file has content
                with target.open("wb") as out:
                    shutil.copyfileobj(stream, out, 1 << 20)
                folders[waiting / parts[0] / parts[1]] = None
    except (tarfile.TarError, EOFError) as error:
        raise BadInput(f"{source}", "must be a whole exported file", str(error), "copy or export it again") from None
    yield from folders


def _checked_manifest(folder: Path, source: Path) -> dict[str, Any]:
    """The manifest of an unpacked unit, its files hashed and given the manifest's times, so that everyday checks stay cheap."""
    where = f"{source}: {folder.parent.name}/{folder.name}"
    try:
        manifest = read_manifest(folder)
        expected = fingerprint_of(manifest)
    except (StoreError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(where, "must hold a manifest", str(error), "export it again") from None
    if (manifest["stage"], expected) != (folder.parent.name, folder.name) or content_of(manifest["files"]) != manifest["content"]:
        raise BadInput(where, "must be the address that its manifest gives", f"{manifest['stage']}/{expected}", "export it again")
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {MANIFEST}
    if present != set(manifest["files"]):
        raise BadInput(where, "must hold the files of its manifest", sorted(present ^ set(manifest["files"])), "export it again")
    for name, entry in manifest["files"].items():
        found = hash_file(folder / name, flush=True)
        if found != entry["sha256"]:
            raise BadInput(f"{where}/{name}", f"must have SHA-256 {entry['sha256']}", found, "copy or export it again")
        os.utime(folder / name, ns=(entry["mtime_ns"], entry["mtime_ns"]))
    return manifest


def _content_here(final: Path) -> str | None:
    try:
        return str(read_manifest(final)["content"])
    except StoreError:
        return None


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
