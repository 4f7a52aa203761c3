"""Move units between machines.

An exported file is a plain tar of unit folders (``<stage>/<fingerprint>/...``), each with its manifest. Nothing in it is believed on arrival
before it is hashed again.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from igsm_pipeline.errors import BadInput, StoreError
from igsm_pipeline.store.files import hash_file, replace_folder, written_whole
from igsm_pipeline.store.housekeeping import IMPORT, STAGE_NAME, UNIT_NAME
from igsm_pipeline.store.locks import LOCK, lock_folder, locked
from igsm_pipeline.store.manifest import MANIFEST, fingerprint_of, is_altered, read_manifest
from igsm_pipeline.store.store import Store
from igsm_pipeline.store.unit import Unit


def export_units(store: Store, units: Iterable[Unit], target: Path) -> int:
    """Write fresh units to a tar file, each once, inputs before what reads them. Returns how many.

    Raises:
        StoreError: a unit is not fresh, or nothing is to be written.
    """
    chosen = list(dict.fromkeys(units))
    if not chosen:
        raise StoreError(f"nothing to export to {target}: none of the units that were asked for is finished; compute them first with `igsm run`")
    for unit in chosen:
        own = store.check_own(unit)
        if own:
            raise StoreError(f"{unit.stage} {unit.name} cannot be exported: {'; '.join(own)}; run its stage first")
        folder = store.path(unit).resolve()
        if any(not (folder / name).resolve().is_relative_to(folder) for name in store.manifest(unit)["files"]):
            raise StoreError(f"{unit.stage} {unit.name} cannot be exported: its manifest names a file elsewhere; remove the unit and run its stage")
    with written_whole(target) as temporary, tarfile.open(temporary, "w") as tar:
        for unit in chosen:
            folder = store.path(unit)
            for name in (*store.manifest(unit)["files"], MANIFEST):
                try:
                    tar.add((folder / name).resolve(), arcname=f"{unit.stage}/{unit.fingerprint}/{name}", recursive=False)
                except PermissionError:
                    where = f"{folder / name} cannot be read: permissions; let its owner change them"
                    raise StoreError(f"{unit.stage} {unit.name} cannot be exported: {where}") from None
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
    waiting = store.root / IMPORT
    lock = waiting.with_name(IMPORT + LOCK)
    added, present, kept = [], [], []
    with locked(lock):  # one import at a time: what lies there is of one that was killed
        shutil.rmtree(waiting, ignore_errors=True)
        try:
            for folder in _unpack(source, waiting):
                stage, fingerprint = folder.parent.name, folder.name
                manifest = checked_manifest(folder, f"{source}: {stage}/{fingerprint}", "export it again")
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
            lock.unlink(missing_ok=True)
    return Imported(tuple(added), tuple(present), tuple(kept))


def _unpack(source: Path, waiting: Path) -> Iterator[Path]:
    """Unpack a whole tar of plain files below ``waiting``; yields the unit folders in the file's order."""
    folders: dict[Path, None] = {}
    try:
        with tarfile.open(source, "r:") as tar:
            for entry in tar:
                parts = PurePosixPath(entry.name).parts
                if not entry.isreg() or len(parts) < 3 or ".." in parts or not (STAGE_NAME.fullmatch(parts[0]) and UNIT_NAME.fullmatch(parts[1])):
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


def checked_manifest(folder: Path, where: str, way_out: str) -> dict[str, Any]:
    """The manifest of a unit that has arrived, its files hashed and given the manifest's times, so that everyday checks stay cheap.

    Args:
        folder: ``.../<stage>/<fingerprint>``, with or without an ending after a dot.
        where: where it is from, for messages.
        way_out: what to do if it is not what it says.

    Raises:
        BadInput: it is not what its manifest says, or lies at another address.
    """
    address = folder.parent.name, folder.name.partition(".")[0]
    try:
        manifest = read_manifest(folder)
        expected = fingerprint_of(manifest)
    except (StoreError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(where, "must hold a manifest", str(error), way_out) from None
    if (manifest["stage"], expected) != address:
        raise BadInput(where, "must be the address that its manifest gives", f"{manifest['stage']}/{expected}", way_out)
    if is_altered(manifest):
        raise BadInput(where, "must hold the manifest that was written", "an altered one", way_out)
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {MANIFEST}
    if present != set(manifest["files"]):
        raise BadInput(where, "must hold the files of its manifest", sorted(present ^ set(manifest["files"])), way_out)
    for name, entry in manifest["files"].items():
        found = hash_file(folder / name, flush=True)
        if found != entry["sha256"]:
            raise BadInput(f"{where}/{name}", f"must have SHA-256 {entry['sha256']}", found, way_out)
        os.utime(folder / name, ns=(entry["mtime_ns"], entry["mtime_ns"]))
    return manifest


def _content_here(final: Path) -> str | None:
    try:
        return str(read_manifest(final)["content"])
    except StoreError:
        return None
