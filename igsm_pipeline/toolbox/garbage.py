"""Finds units that nothing needs: no experiment of a known folder asks for them, and no report of an unknown member was made from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from igsm_pipeline.errors import BadSettings, IgsmError, StoreError
from igsm_pipeline.experiments.experiment import Broken, load_members
from igsm_pipeline.experiments.folders import BUILTIN, KNOWN, gone_folders, known_folders
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.store import MANIFEST, Store, Unit, read_manifest
from igsm_pipeline.store.housekeeping import Leftover, find_garbage

TRAINED = ("checkpoint",)
"""Stages whose units took hours: removing them needs a second confirmation."""


@dataclass(frozen=True)
class Unwanted:
    """The folders of a store that no experiment asks for.

    Attributes:
        garbage: folders that may be removed.
        held: finished units behind a report whose member no known experiment file declares; they may belong to another project.
        members: the members of those reports.
        broken: experiment files that cannot be read and folders of them that are gone, and why. Nothing should be removed then, because their units
            are unknown.
    """

    garbage: tuple[Leftover, ...]
    held: tuple[Leftover, ...]
    members: tuple[str, ...]
    broken: Broken


def find_unwanted(store: Store, home: Path) -> Unwanted:
    """Search a store, with the experiments of all folders that were ever used with its data root.

    Args:
        store: the store.
        home: the data root.
    """
    broken: Broken = {folder: _gone(home, folder) for folder in gone_folders(home)}
    known: set[str] = set()
    wanted: set[Unit] = set()
    for folders in [[BUILTIN, folder] for folder in known_folders(home)] or [[BUILTIN]]:
        for key, member in load_members(broken, folders).items():
            known.add(key)
            try:
                wanted.update(units_of(member))
            except IgsmError as error:
                broken[member.path] = error
    reports = [(member, folder) for member, folder in _reports(store) if member not in known]
    rested = {folder for _, report in reports for folder in _rests_on(store, report)}
    found = find_garbage(store, wanted)
    held = tuple(item for item in found if item.path in rested)
    return Unwanted(
        tuple(item for item in found if item.path not in rested), held, tuple(sorted({member for member, _ in reports})) if held else (), broken
    )


def _gone(home: Path, folder: Path) -> IgsmError:
    way_out = "mount its disk or bring it back; if its units are no longer wanted, take it off that list"
    return BadSettings(str(home / KNOWN), "must name folders of experiments that are there", str(folder), way_out)


def _reports(store: Store) -> Iterator[tuple[str, Path]]:
    """The member and folder of every report."""
    for path in sorted((store.root / "report").glob(f"*/{MANIFEST}")):
        try:
            yield str(read_manifest(path.parent)["settings"].get("member")), path.parent
        except StoreError:
            continue


def _rests_on(store: Store, report: Path) -> set[Path]:
    """The folders of a report and of everything that it was made from."""
    found: set[Path] = set()
    ahead = [report]
    while ahead:
        folder = ahead.pop()
        if folder in found:
            continue
        found.add(folder)
        try:
            inputs = read_manifest(folder)["inputs"].values()
        except StoreError:
            continue
        ahead += [store.root / str(entry.get("stage")) / entry["fingerprint"] for entry in inputs]
    return found
