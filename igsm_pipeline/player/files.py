"""Where the parts of a mind lie: the model, its random control, and a V-probe of each task on either of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from igsm_pipeline.errors import NotFound
from igsm_pipeline.probes.settings import ARMS, Arm
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.settings import Candidates
from igsm_pipeline.queries.tasks import ALL_TASKS, TaskName
from igsm_pipeline.store import read_manifest
from igsm_pipeline.tokens.settings import TokenSettings
from igsm_pipeline.world import World, load_world

RECORDED = "player.json"
"""The chosen problems of a member, beside its report: a JSON list of the documents of ``scene``."""


def recorded_in(folder: Path | None) -> Path | None:
    """The recorded documents in a folder; None where there are none."""
    return folder / RECORDED if folder is not None and (folder / RECORDED).is_file() else None


@dataclass(frozen=True)
class MindFiles:
    """A model and its probes as folders, and what is needed to ask them.

    Attributes:
        name: of the member.
        models: arm -> folder of the network.
        probes: (task, arm) -> folder of the V-probe; what was not trained is not in it.
        tokens: how the model reads text.
        world: the names in its problems.
        family: the problems that it was trained on.
        candidates: which parameters its probes were asked about.
        max_tokens: longest completion.
        recorded: file of documents that were made when the member's report was; None: there is none.
    """

    name: str
    models: Mapping[Arm, Path]
    probes: Mapping[tuple[TaskName, Arm], Path]
    tokens: TokenSettings
    world: World
    family: FamilySettings
    candidates: Candidates = "existing"
    max_tokens: int = 2048
    recorded: Path | None = None

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Whose states can be read, the trained model first."""
        return tuple(arm for arm in ARMS if arm in self.models and any(with_arm == arm for _, with_arm in self.probes))

    def tasks(self, arm: Arm) -> tuple[TaskName, ...]:
        """The tasks that an arm has a probe for."""
        return tuple(task for task in ALL_TASKS if (task, arm) in self.probes)


def files_of_units(name: str, units: Mapping[str, Path], *, candidates: Candidates = "existing", max_tokens: int = 2048) -> MindFiles:
    """The parts of a member, from the folders of its finished units.

    Args:
        name: of the member.
        units: "STAGE/NAME" -> folder, as the stage report gets them; other stages' units are passed over.
        candidates, max_tokens: see ``MindFiles``.

    Raises:
        NotFound: world, checkpoint or every V-probe of the trained model is missing.
    """
    models: dict[Arm, Path] = {}
    probes: dict[tuple[TaskName, Arm], Path] = {}
    world: Path | None = None
    for role, folder in units.items():
        stage, _, what = role.partition("/")
        if stage == "world":
            world = folder
        elif stage in ("checkpoint", "control"):
            models["trained" if stage == "checkpoint" else "random"] = folder
        elif stage == "v_probes":
            for task in ALL_TASKS:
                probes |= {(task, arm): folder for arm in ARMS if what == f"{task} {arm}"}
    lacking = [what for what, there in (("world", world), ("checkpoint", models.get("trained"))) if there is None]
    if world is None or lacking or not any(arm == "trained" for _, arm in probes):
        what = ", ".join(lacking) or "V-probe of the trained model"
        raise NotFound(f"no {what} of {name} to look into: compute what is missing with `igsm run {name}`")
    settings = read_manifest(models["trained"])["settings"]
    return MindFiles(
        name=name,
        models=models,
        probes=probes,
        tokens=TokenSettings.parse(settings["tokens"], f"{models['trained']}: tokens"),
        world=load_world(world),
        family=FamilySettings.parse(settings["family"], f"{models['trained']}: family"),
        candidates=candidates,
        max_tokens=max_tokens,
        recorded=recorded_in(units.get("report/report")),
    )
