"""Keep the store small, and let everyday checks see what a deep check saw."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from igsm_pipeline.errors import StoreError
from igsm_pipeline.store.files import OLD, hash_file
from igsm_pipeline.store.locks import LOCK, lock_folder
from igsm_pipeline.store.manifest import MANIFEST
from igsm_pipeline.store.store import PARTIAL, Store
from igsm_pipeline.store.unit import Unit

STAGE_NAME = re.compile(r"[a-z][a-z_]*")
UNIT_NAME = re.compile(rf"[0-9a-f]{{20}}({re.escape(PARTIAL)}|{re.escape(OLD)})?")


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
        for path in sorted(folder.iterdir()) if folder.is_dir() and STAGE_NAME.fullmatch(stage) else []:
            if path.is_dir() and UNIT_NAME.fullmatch(path.name) and ((stage, path.name.split(".")[0]) not in keep or path.suffix == OLD):
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


def show_alterations(store: Store, unit: Unit) -> list[str]:
    """Show everyday checks what a deep one saw: files altered behind their size and time get a new time. Returns their names."""
    folder, found = store.path(unit), []
    for name, entry in store.manifest(unit)["files"].items() if (folder / MANIFEST).exists() else ():
        path = folder / name
        if path.exists() and path.stat().st_mtime_ns == entry["mtime_ns"] and hash_file(path) != entry["sha256"]:
            os.utime(path)
            found.append(name)
    return found


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
