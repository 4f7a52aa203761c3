"""Keep the store small, and let everyday checks see what a deep check saw."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from igsm_pipeline.errors import StoreError
from igsm_pipeline.store.files import OLD, hash_file, remove_folder
from igsm_pipeline.store.locks import LOCK, is_locked, lock_folder
from igsm_pipeline.store.store import PARTIAL, Store
from igsm_pipeline.store.unit import Unit

IMPORT = ".import"
"""The folder of a store in which an import is unpacked; one that was killed leaves it there."""
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

    Half-done folders of wanted units are kept, since the next run resumes them. So is what an import unpacks, while it does. Folders that are not
    named like units are never touched.
    """
    keep = {(unit.stage, unit.fingerprint) for unit in wanted}
    unpacked, found = store.root / IMPORT, []
    if unpacked.is_dir() and not is_locked(unpacked.with_name(IMPORT + LOCK)):
        found.append(Leftover(unpacked, _size(unpacked), "half done"))
    for folder in sorted(store.root.iterdir()) if store.root.is_dir() else []:
        stage = folder.name
        for path in sorted(folder.iterdir()) if folder.is_dir() and STAGE_NAME.fullmatch(stage) else []:
            if (
                (path.is_dir() or path.is_symlink())
                and UNIT_NAME.fullmatch(path.name)
                and ((stage, path.name.split(".")[0]) not in keep or path.suffix == OLD)
            ):
                kind = "half done" if path.suffix == PARTIAL else "old" if path.suffix == OLD else "unit"
                found.append(Leftover(path, _size(path), kind))
    return found


@dataclass(frozen=True)
class Removed:
    """What was removed: the number of folders, their bytes; and a line for each that was not, with why."""

    folders: int
    bytes: int
    kept: tuple[str, ...] = ()


def remove_garbage(garbage: Iterable[Leftover]) -> Removed:
    """Remove folders that ``find_garbage`` found; one that is being written or cannot be removed is passed over and told of."""
    folders, freed, kept = 0, 0, []
    for leftover in garbage:
        final = leftover.path.with_name(leftover.path.name.removesuffix(PARTIAL).removesuffix(OLD))
        try:
            with lock_folder(final, f"{final.parent.name} {final.name}"):
                remove_folder(leftover.path)
                if not final.exists() and not final.with_name(final.name + PARTIAL).exists():
                    final.with_name(final.name + LOCK).unlink(missing_ok=True)  # while it is held, so that nobody holds a file that is gone
        except (StoreError, OSError) as error:
            kept.append(f"{leftover.path}: {error.strerror or error if isinstance(error, OSError) else error}")
            continue
        folders, freed = folders + 1, freed + leftover.bytes
    return Removed(folders, freed, tuple(kept))


def show_alterations(store: Store, unit: Unit) -> list[str]:
    """Show everyday checks what a deep one saw: files altered behind their size and time get a new time. Returns their names."""
    folder, found = store.path(unit), []
    try:
        files = store.manifest(unit)["files"]
    except StoreError:
        return []
    for name, entry in files.items():
        path = folder / name
        if os.access(path, os.R_OK) and path.stat().st_mtime_ns == entry["mtime_ns"] and hash_file(path) != entry["sha256"]:
            os.utime(path)
            found.append(name)
    return found


def _size(folder: Path) -> int:
    """Bytes that removing frees: of a link none, since what it leads to stays."""
    if folder.is_symlink():
        return 0
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
