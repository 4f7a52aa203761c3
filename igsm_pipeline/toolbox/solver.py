"""Finds the model that solves, and the family and world that it was trained on."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from igsm_pipeline.errors import IgsmError, NotFound, StoreError
from igsm_pipeline.experiments.experiment import find_member
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.planning.planner import find_unit
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.store import Store, Unit, read_manifest
from igsm_pipeline.toolbox.completions import load_tokenizer
from igsm_pipeline.toolbox.published import is_published, read_published
from igsm_pipeline.world import World, builtin_worlds, load_world
from igsm_pipeline.world.settings import WorldSettings
from igsm_pipeline.world.stage import STAGE as WORLD


@dataclass(frozen=True)
class Solver:
    """A model that solves problems.

    Attributes:
        name: the name that the user gave.
        model: the model, in evaluation mode, on the CPU.
        tokenizer: its tokenizer.
        family: settings of the problems that it was trained on; None if unknown.
        world: names of these problems; None if unknown.
    """

    name: str
    model: PreTrainedModel
    tokenizer: Any
    family: FamilySettings | None = None
    world: World | None = None


def find_solver(named: str) -> Solver:
    """Find the model of a checkpoint folder or of a member.

    Raises:
        NotFound: there is neither a folder nor a member with a finished checkpoint.
        BadCheckpoint: the folder's model or tokenizer cannot be used.
    """
    folder = Path(named).expanduser()
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink() or os.sep in named or named.startswith(("~", ".")):
            raise NotFound(
                f"--model must be a member, models:/NAME@ALIAS or a checkpoint's folder, got {named!r}, which is no folder; correct the path"
            )
        store, unit = Store.at_home(), find_unit(find_member(named), "checkpoint", "checkpoint")
        folder, reasons = store.path(unit), store.check_own(unit)
        if reasons:
            raise NotFound(f"no checkpoint of {named} to ask ({'; '.join(reasons)}): train it with `igsm run {named} --stage checkpoint`")
    family, world = trained_on(folder)
    return Solver(named, load(folder), load_tokenizer(folder), family, world)


def trained_on(folder: Path) -> tuple[FamilySettings | None, World | None]:
    """Family and world of a checkpoint in a store, copied out of one, or in a published folder; None for what its manifest does not give.

    Raises:
        BadInput: this version does not know the form in which it was published.
    """
    if is_published(folder):
        published = read_published(folder)
        return published.family, published.world
    try:
        manifest = read_manifest(folder)
    except StoreError:
        return None, None
    if manifest["stage"] != "checkpoint":
        return None, None
    names, asked = manifest["inputs"].get("world"), manifest["settings"].get("family")
    world = None if names is None else _world_of(folder, names["fingerprint"])
    return None if asked is None else FamilySettings.parse(asked, f"{folder} family"), world


def _world_of(folder: Path, fingerprint: str) -> World | None:
    """The world unit of a fingerprint: in the store that a folder lies in or that of the data root, or a built-in world that has it; else None."""
    roots = [folder.resolve().parent.parent]
    with suppress(IgsmError):  # a copied checkpoint needs no data root
        roots.append(Store.at_home().root)
    for root in roots:
        if (root / WORLD.name / fingerprint).is_dir():
            return load_world(root / WORLD.name / fingerprint)
    for settings in (WorldSettings(source=name, lenient=lenient) for name in builtin_worlds() for lenient in (False, True)):
        if Unit(WORLD.name, "world", WORLD.version, settings.canonical()).fingerprint == fingerprint:
            return settings.load()
    return None
