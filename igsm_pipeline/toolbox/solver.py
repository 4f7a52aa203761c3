"""Which model is asked, and what is known of the problems that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from igsm_pipeline.errors import NotFound, StoreError
from igsm_pipeline.experiments.experiment import find_member
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.planning.planner import find_unit
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.store import Store, read_manifest
from igsm_pipeline.toolbox.completions import load_tokenizer
from igsm_pipeline.toolbox.published import is_published, read_published
from igsm_pipeline.world import World, load_world


@dataclass(frozen=True)
class Solver:
    """A model that solves problems.

    Attributes:
        name: how it was asked for.
        model: in evaluation mode, on the CPU.
        tokenizer: its tokenizer.
        family: the problems it was trained on; None where nothing says.
        world: their names; None where nothing says.
    """

    name: str
    model: PreTrainedModel
    tokenizer: Any
    family: FamilySettings | None = None
    world: World | None = None


def find_solver(named: str) -> Solver:
    """The model of a checkpoint folder or of a member.

    Raises:
        NotFound: neither a folder nor a member with a finished checkpoint.
        BadCheckpoint: the folder's model or tokenizer cannot be used.
    """
    folder = Path(named)
    if not folder.is_dir():
        store, unit = Store.at_home(), find_unit(find_member(named), "checkpoint", "checkpoint")
        folder = store.path(unit)
        if not folder.is_dir():
            raise NotFound(f"no checkpoint of {named} yet: train it with `igsm run {named} --stage checkpoint`")
    family, world = trained_on(folder)
    return Solver(named, load(folder), load_tokenizer(folder), family, world)


def trained_on(folder: Path) -> tuple[FamilySettings | None, World | None]:
    """Family and world of a checkpoint that lies in a store or was published; None for what its manifest does not lead to.

    Raises:
        BadInput: it was published in a form that this version does not know.
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
    names = folder.resolve().parents[1] / "world" / manifest["inputs"]["world"]["fingerprint"]
    world = load_world(names) if names.is_dir() else None
    return FamilySettings.parse(manifest["settings"]["family"], f"{folder} family"), world
