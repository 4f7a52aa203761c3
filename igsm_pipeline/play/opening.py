"""From what a user names to the files of a mind: a member of the store, or a folder that ``igsm publish`` wrote."""

from __future__ import annotations

import os
from pathlib import Path

from igsm_pipeline.errors import NotFound
from igsm_pipeline.experiments.experiment import find_member
from igsm_pipeline.planning.planner import plan
from igsm_pipeline.player.files import MindFiles, files_of_units, recorded_in
from igsm_pipeline.probes.settings import ARMS, Arm
from igsm_pipeline.queries.tasks import ALL_TASKS, TaskName
from igsm_pipeline.store import Store, find_home
from igsm_pipeline.toolbox.published import CONTROL, PROBES, is_published, read_published

DEFAULT = Path("published") / "small"
"""Below the data root: what is played where nothing is named."""
CHECKOUT = Path(__file__).parents[2] / "data"


def open_mind_files(named: str | None) -> MindFiles:
    """The mind that is played; nothing is loaded.

    Args:
        named: key of a member, or a published folder; None: ``DEFAULT`` below the data root, else that of this checkout.

    Raises:
        NotFound: there is none; the message says how to get one.
        BadInput: it was published in a form that this version does not know.
    """
    if named is None:
        folder = _default()
        if folder is None:
            raise NotFound(
                f"no published model in {find_home() / DEFAULT} to play with: train a small one with `igsm run mini` (twenty minutes) and "
                "play it with `igsm play mini`, or name a folder that `igsm publish` wrote"
            )
        return published_files(folder)
    folder = Path(named)
    if folder.is_dir():
        if not is_published(folder):
            raise NotFound(f"no published member in {folder}: name a folder that `igsm publish` wrote, or a member (`igsm status` lists them)")
        return published_files(folder)
    if os.sep in named:
        raise NotFound(f"no folder {folder}: name a folder that `igsm publish` wrote, or a member (`igsm status` lists them)")
    return member_files(named, Store.at_home())


def member_files(key: str, store: Store) -> MindFiles:
    """The parts of a member that are computed.

    Raises:
        NotFound: no such member, or its model or its probes are not computed.
    """
    settings = find_member(key).settings
    return files_of_units(key, finished_units(key, store), candidates=settings.probes.candidates, max_tokens=settings.evaluation.max_tokens)


def finished_units(key: str, store: Store) -> dict[str, Path]:
    """ "STAGE/NAME" -> folder of every unit of a member that is computed and whole."""
    looked = plan(find_member(key), store)
    return {f"{unit.stage}/{unit.name}": store.path(unit) for unit, state in zip(looked.units, looked.freshness, strict=True) if state.fresh}


def published_files(folder: Path) -> MindFiles:
    """The parts of a published member.

    Raises:
        NotFound: it has no V-probe of the trained model.
        BadInput: it was published in a form that this version does not know.
    """
    published = read_published(folder)
    models: dict[Arm, Path] = {"trained": folder}
    if (folder / CONTROL).is_dir():
        models["random"] = folder / CONTROL
    there: dict[tuple[TaskName, Arm], Path] = {(task, arm): folder / PROBES / f"{task}-{arm}" for task in ALL_TASKS for arm in ARMS}
    probes = {key: path for key, path in there.items() if path.is_dir() and key[1] in models}
    if not any(arm == "trained" for _, arm in probes):
        raise NotFound(f"no V-probe of the trained model in {folder / PROBES}: compute the member's probes and publish it again")
    return MindFiles(
        name=published.member,
        models=models,
        probes=probes,
        tokens=published.tokens,
        world=published.world,
        family=published.family,
        candidates=published.probes.candidates,
        max_tokens=published.evaluation.max_tokens,
        recorded=recorded_in(folder),
    )


def _default() -> Path | None:
    return next((home / DEFAULT for home in (find_home(), CHECKOUT) if is_published(home / DEFAULT)), None)
