"""The store on object storage: units are pushed once finished, and pulled instead of computed. Stages see folders all the same.

Below the address, ``store/<stage>/<fingerprint>/manifest.json`` says that a unit is whole. It is put last and only where there is none, so that the
first finished writer wins. Its files lie beside it in a folder of their own, named after the manifest's checksum, so that two writers never mix.
``leases/`` says who is computing (``leases.py``). Nothing that arrives is believed before it is hashed.

Ours: all of it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from igsm_pipeline.errors import BadInput, StoreError
from igsm_pipeline.store.archives import checked_manifest
from igsm_pipeline.store.files import OWN, hash_file, remove_folder, remove_leftovers, replace_folder, storage_errors, write_atomically
from igsm_pipeline.store.leases import Leases
from igsm_pipeline.store.locks import lock_folder
from igsm_pipeline.store.manifest import MANIFEST, checksum_of, fingerprint_of, is_altered, parse_manifest
from igsm_pipeline.store.objects import REMOTE, Objects
from igsm_pipeline.store.store import PARTIAL, Store
from igsm_pipeline.store.unit import Unit

PUSHED, PRESENT, OTHER = "pushed", "present", "other"
"""What a push found: nothing, and it is there now; the same content; another content, which stays there."""
AT_ONCE = 4
"""Files that travel side by side."""
_NOTE = ".pull.json"
"""In a half-done folder: which unit's files were being pulled into it."""
Item = TypeVar("Item")


class Remote:
    """Finished units of all machines that share an address.

    Args:
        address: as for ``Objects``.

    Raises:
        BadSettings, StoreError: as for ``Objects`` and ``Leases``.
    """

    def __init__(self, address: str) -> None:
        self.objects = Objects(address)
        self.leases = Leases(self.objects)
        self.address = self.objects.address
        self._whole: dict[Unit, tuple[dict[str, Any], bytes]] = {}

    @classmethod
    def from_environment(cls) -> Remote | None:
        """The one that ``IGSM_REMOTE`` names; None without it."""
        address = os.environ.get(REMOTE)
        return cls(address) if address else None

    def manifest(self, unit: Unit) -> dict[str, Any] | None:
        """The manifest of a unit that is whole there; None if it is not. Asked for once: what is whole stays as it is.

        Raises:
            StoreError: the storage cannot be reached.
            BadInput: what lies there is no manifest of this unit, or was altered.
        """
        if unit not in self._whole:
            found = self.objects.read(f"{_folder(unit)}/{MANIFEST}")
            if found is None:
                return None
            where = f"{self.address}/{_folder(unit)}"
            try:
                manifest = parse_manifest(found[0], where)
            except StoreError as error:
                raise BadInput(where, "must hold a manifest", str(error), _way_out(unit)) from None
            if (manifest["stage"], fingerprint_of(manifest)) != (unit.stage, unit.fingerprint) or is_altered(manifest):
                raise BadInput(where, "must hold the manifest that was written for this address", "another or an altered one", _way_out(unit))
            if MANIFEST in manifest["files"]:
                raise BadInput(where, "must hold other files than its manifest", MANIFEST, _way_out(unit))
            self._whole[unit] = manifest, found[0]
        return self._whole[unit][0]

    def look_for(self, units: Iterable[Unit]) -> None:
        """Ask for the manifests of many units at once; what is wrong with one is said when it is asked for alone.

        Raises:
            StoreError: the storage cannot be reached.
        """

        def look(unit: Unit) -> None:
            with suppress(BadInput):
                self.manifest(unit)

        _side_by_side(look, units)

    def fits(self, store: Store, unit: Unit) -> bool:
        """Whether a unit is whole there and was made from inputs with the content of those here; inputs that are not here do not count."""
        manifest = self.manifest(unit)
        if manifest is None:
            return False
        for role, source in unit.inputs.items():
            here = _content(store, source)
            if here is not None and here != manifest["inputs"][role]["content"]:
                return False
        return True

    def push(self, store: Store, unit: Unit, *, deep: bool = True) -> str:
        """Put a finished unit there, after the inputs that it was made from. One that was cut off goes on with the files that are missing.

        Args:
            store: where the unit lies.
            unit: the unit.
            deep: hash its files before; a unit that was finished a moment ago need not be.

        Returns:
            ``PUSHED``; ``PRESENT``; ``OTHER``: another content of it or of an input is there, and nothing was put.

        Raises:
            StoreError: the unit is not whole here, an input is neither here nor there, or the storage cannot be reached.
        """
        there = self.manifest(unit)
        if there is None:
            own = store.check_own(unit, deep=deep)
            if own:
                raise StoreError(f"{unit.stage} {unit.name} cannot be pushed: {'; '.join(own)}; run its stage first")
        here = store.manifest(unit)
        if there is not None:
            return PRESENT if there["content"] == here["content"] else OTHER
        for role, source in unit.inputs.items():
            if self.manifest(source) is None:
                self.push(store, source, deep=deep)
            beside = self.manifest(source)
            if beside is None or beside["content"] != here["inputs"][role]["content"]:
                return OTHER
        return self._put(store.path(unit), unit, here)

    def _put(self, folder: Path, unit: Unit, manifest: Mapping[str, Any]) -> str:
        files = _files_folder(unit, manifest)
        sizes = self.objects.sizes(files)
        missing = [name for name, entry in manifest["files"].items() if sizes.get(name) != entry["bytes"]]
        _side_by_side(lambda name: self.objects.put(f"{files}/{name}", (folder / name).resolve()), missing)
        if self.objects.create(f"{_folder(unit)}/{MANIFEST}", (folder / MANIFEST).read_bytes()) is not None:
            return PUSHED
        there = self.manifest(unit)
        if there is None:
            raise StoreError(f"{self.address}/{_folder(unit)} was removed while it was pushed; push it again")
        if _files_folder(unit, there) != files:  # another writer was first, and nobody reads these
            _side_by_side(lambda name: self.objects.remove(f"{files}/{name}"), list(manifest["files"]))
        return PRESENT if there["content"] == manifest["content"] else OTHER

    def pull(self, store: Store, unit: Unit, *, replace: bool = False) -> bool:
        """Bring a unit here. It appears whole, as when it is computed; one that was cut off goes on with the files that are missing.

        Args:
            store: where it goes.
            unit: the unit.
            replace: in place of a whole unit that lies here.

        Returns:
            Whether it is whole there (and now here).

        Raises:
            UnitLocked: another process is writing it here.
            BadInput: what lies there is not what its manifest says; nothing of it stays here.
            StoreError: the storage cannot be reached, or the disk is full.
        """
        manifest = self.manifest(unit)
        if manifest is None:
            return False
        final = store.path(unit)
        partial = final.with_name(final.name + PARTIAL)
        with lock_folder(final, f"{unit.stage} {unit.name}"):
            if not replace and not store.check_own(unit):
                return True
            try:
                with storage_errors(final, OWN):
                    self._fetch(unit, partial, manifest)
                    checked_manifest(partial, f"{self.address}/{_folder(unit)}", _way_out(unit))
                    replace_folder(partial, final)
            except BadInput:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        return True

    def _fetch(self, unit: Unit, partial: Path, manifest: Mapping[str, Any]) -> None:
        """Fill a half-done folder with a unit's files."""
        files, note = _files_folder(unit, manifest), partial / _NOTE
        if partial.is_symlink() or not note.is_file() or note.read_text() != files:
            remove_folder(partial)
            partial.mkdir(parents=True)
            write_atomically(note, files.encode())
        remove_leftovers(partial)

        def fetch(name: str) -> None:
            path, entry = partial / name, manifest["files"][name]
            if path.is_file() and path.stat().st_size == entry["bytes"] and hash_file(path) == entry["sha256"]:
                return
            if not self.objects.fetch(f"{files}/{name}", path):
                raise BadInput(f"{self.address}/{files}/{name}", "must be there, since the manifest names it", "nothing", _way_out(unit))

        _side_by_side(fetch, manifest["files"])
        note.unlink()
        write_atomically(partial / MANIFEST, self._whole[unit][1])


def _folder(unit: Unit) -> str:
    return f"store/{unit.stage}/{unit.fingerprint}"


def _files_folder(unit: Unit, manifest: Mapping[str, Any]) -> str:
    return f"{_folder(unit)}/{checksum_of(manifest)[:20]}"


def _way_out(unit: Unit) -> str:
    return f"remove {_folder(unit)}/ there and push the unit again from a machine that has it"


def _content(store: Store, unit: Unit) -> str | None:
    try:
        return str(store.manifest(unit)["content"])
    except StoreError:
        return None


def _side_by_side(work: Callable[[Item], object], items: Iterable[Item]) -> None:
    """Do the same with several items at once; the first fault drops what has not begun."""
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        for _ in pool.map(work, items):
            pass
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
