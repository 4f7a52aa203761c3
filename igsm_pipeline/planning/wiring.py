"""What a stage's wiring works with: the units of a member that are there so far, and how another one is added.

``flow`` has one function per stage, which adds that stage's units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from igsm_pipeline.errors import BadSettings
from igsm_pipeline.experiments.experiment import ExperimentSettings, Member
from igsm_pipeline.experiments.slices import PROBE_TRAIN
from igsm_pipeline.model.stage import STAGE as CONTROL
from igsm_pipeline.problems.stage import STAGE as PROBLEM_SETS
from igsm_pipeline.queries.stage import STAGE as PROBE_QUERIES
from igsm_pipeline.settings import Settings
from igsm_pipeline.stage import EVERY_STAGE, Role, Stage
from igsm_pipeline.store import Unit
from igsm_pipeline.training.stage import STAGE as CHECKPOINT
from igsm_pipeline.world.stage import STAGE as WORLD

RECIPE = (
    "num_steps",
    "batch_problems",
    "rank",
    "learning_rate",
    "warmup_steps",
    "starts",
    "start_steps",
    "weight_decay",
    "seed",
    "held_out",
    "precision",
)
"""What V-probes take from the section ``probes`` as it is."""


def evaluations(settings: ExperimentSettings) -> list[tuple[str, int, str]]:
    """(slice, beams, unit name) of everything that the model is asked to solve."""
    return [(name, beam, f"{name} beam {beam}") for name in settings.evaluation.slices for beam in settings.evaluation.beams]


class Wiring:
    """Builds the units of one member: each stage adds its units and finds those of earlier stages."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.settings: ExperimentSettings = member.settings
        self.units: list[Unit] = []
        self.made: dict[str, dict[str, Unit]] = {}
        self.common: dict[str, Any] = {"family": self.settings.family, "tokens": self.settings.tokens}

    def add(self, stage: Stage, name: str, settings: Settings, inputs: Mapping[Role, Unit], **labels: Any) -> Unit:
        """Add a unit.

        Args:
            stage: the unit's stage.
            name: name of the unit in this member.
            settings: settings of the unit.
            inputs: role -> unit; the stage must declare each of them as a read.
            labels: how it differs from the stage's other units, for views and reports; they are not part of its fingerprint.

        Raises:
            ValueError: the stage does not declare an input (a fault of the program).
        """
        declared = {(read.role, read.source) for read in stage.reads}
        for role, source in inputs.items():
            if (role.kind, source.stage) not in declared and (EVERY_STAGE, EVERY_STAGE) not in declared:
                raise ValueError(f"stage {stage.name} reads {role} from {source.stage}, which it does not declare: add it to the stage's reads")
        unit = Unit(stage.name, name, stage.version, settings.canonical(), dict(inputs.items()), settings.runtime(), labels)
        self.units.append(unit)
        self.made.setdefault(stage.name, {})[name] = unit
        return unit

    def one(self, stage: Stage, name: str) -> Unit:
        """Find a unit that was added before."""
        return self.made[stage.name][name]

    @property
    def world(self) -> dict[Role, Unit]:
        """The role of the world, which most stages read."""
        return {Role("world"): self.one(WORLD, "world")}

    def problems(self, name: str) -> dict[Role, Unit]:
        """The roles of the world and of one problem set."""
        return {**self.world, Role("problems"): self.one(PROBLEM_SETS, name)}

    def asked(self, part: str) -> dict[Role, Unit]:
        """The roles of the world, of one problem set and of the queries about it."""
        return {**self.problems(part), Role("queries"): self.one(PROBE_QUERIES, part)}

    def model(self, arm: str) -> Unit:
        """The trained model, or the control."""
        return self.one(CHECKPOINT, "checkpoint") if arm == "trained" else self.one(CONTROL, "control")

    @property
    def probed(self) -> tuple[str, ...]:
        """The problem sets that queries are asked about: the probes' training set, then the slices."""
        return (PROBE_TRAIN, *self.settings.probes.slices) if self.settings.probes.tasks else ()


def wired(member: Member, wires: Iterable[Callable[[Wiring], None]]) -> list[Unit]:
    """The units of a member, from the functions that add those of each stage.

    Raises:
        BadSettings: the member names a file that the system cannot read (no permission, too long a name). Commands about all members leave this one
            out and go on.
    """
    wiring = Wiring(member)
    try:
        for wire in wires:
            wire(wiring)
    except OSError as error:
        said = f"{error.strerror or error}: {error.filename or 'no name'}"
        raise BadSettings(str(member.path), "must name files that can be read", said, "correct the path, or what may be read there") from None
    return wiring.units
