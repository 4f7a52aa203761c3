"""Member -> units in the order of the data flow -> fresh or stale, and why.

A unit's settings hold what its stage reads and nothing else, so that a change of the experiment file makes stale what reads it and what
rests on that, and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from igsm_pipeline.errors import NotFound
from igsm_pipeline.experiments.changes import explain_new
from igsm_pipeline.experiments.experiment import ExperimentSettings, Member
from igsm_pipeline.experiments.sections import ProbesSection
from igsm_pipeline.experiments.slices import MONITOR, PROBE_TRAIN, slice_set
from igsm_pipeline.experiments.stages import STAGES, find_stage, stage_version
from igsm_pipeline.problems.settings import ProblemSetSettings
from igsm_pipeline.settings import Settings
from igsm_pipeline.store import NEVER, Freshness, Store, Unit

TRAIN = "train"


def units_of(member: Member) -> list[Unit]:
    """Every unit of a member, inputs before what reads them, the report last.

    Raises:
        BadSettings, BadWorld, BadCheckpoint, NotFound: a file that the member names cannot be read.
    """
    return _Units(member).build()


def stages_of(units: Iterable[Unit]) -> list[str]:
    """The stages of some units in the order of the data flow."""
    present = {unit.stage for unit in units}
    return [stage for stage in STAGES if stage in present]


@dataclass(frozen=True)
class Plan:
    """What a member has and lacks.

    Attributes:
        member: whose plan it is.
        units: its units in order.
        freshness: of each, in the same order.
    """

    member: Member
    units: tuple[Unit, ...]
    freshness: tuple[Freshness, ...]

    @property
    def stale(self) -> tuple[Unit, ...]:
        """The units to compute, in order."""
        return tuple(unit for unit, state in zip(self.units, self.freshness, strict=True) if not state.fresh)

    @property
    def stale_stages(self) -> list[str]:
        """The stages that have a unit to compute, in order."""
        return stages_of(self.stale)


def plan(member: Member, store: Store, stages: Sequence[str] | None = None, *, deep: bool = False) -> Plan:
    """What is fresh and what is stale of a member.

    Args:
        member: the member.
        store: where to look.
        stages: only units of these stages; None for all.
        deep: re-hash every file instead of trusting size and modification time.

    Raises:
        NotFound: no stage of that name.
    """
    wanted = {find_stage(name).name for name in stages} if stages is not None else set(STAGES)
    units = tuple(unit for unit in units_of(member) if unit.stage in wanted)
    known: dict[Unit, Freshness] = {}
    return Plan(member, units, tuple(_freshness(unit, store, deep, known) for unit in units))


def _freshness(unit: Unit, store: Store, deep: bool, known: dict[Unit, Freshness]) -> Freshness:
    state = store.check(unit, deep=deep, known=known)
    return Freshness((*state.reasons, *explain_new(unit, store))) if state.reasons == (NEVER,) else state


def find_unit(member: Member, stage: str, name: str) -> Unit:
    """One unit of a member by stage and name.

    Raises:
        NotFound: the stage has no such unit; the message lists those it has.
    """
    units = [unit for unit in units_of(member) if unit.stage == find_stage(stage).name]
    for unit in units:
        if unit.name == name:
            return unit
    raise NotFound(f"no unit {name!r} in stage {stage} of {member.key}: must be one of {', '.join(unit.name for unit in units)}")


class _Units:
    """Builds the units of one member, stage by stage."""

    def __init__(self, member: Member) -> None:
        self.member, self.settings = member, member.settings
        self.units: list[Unit] = []

    def build(self) -> list[Unit]:
        settings = self.settings
        self.world = self.add("world", "world", settings.world, {})
        self.sets = {name: self.add("problem_sets", name, one, {"world": self.world}) for name, one in problem_sets(settings).items()}
        shards_inputs = {"world": self.world} | ({} if settings.shards.streaming else {"problems": self.sets[TRAIN]})
        self.shards = self.add("token_shards", TRAIN, self._shard_settings(), shards_inputs)
        self.checkpoint = self.add(
            "checkpoint", "checkpoint", self._training_settings(), {"world": self.world, "shards": self.shards, "monitor": self.sets[MONITOR]}
        )
        self._evaluate()
        self._probe()
        self.add("report", "report", {"member": self.member.key}, {f"{unit.stage}/{unit.name}": unit for unit in self.units})
        return self.units

    def _evaluate(self) -> None:
        evaluation = self.settings.evaluation
        self.generations: dict[tuple[str, int], Unit] = {}
        self.verdicts: dict[tuple[str, int], Unit] = {}
        for name in evaluation.slices:
            for beam in evaluation.beams:
                inputs = {"world": self.world, "problems": self.sets[name]}
                label = f"{name} beam {beam}"
                made = self.add("generations", label, {"beam": beam, "max_tokens": evaluation.max_tokens}, {**inputs, "checkpoint": self.checkpoint})
                self.generations[name, beam] = made
                self.verdicts[name, beam] = self.add("verdicts", label, {}, {**inputs, "generations": made})

    def _probe(self) -> None:
        probes = self.settings.probes
        for task in probes.tasks:
            queries, caches = {}, {}
            for name in (PROBE_TRAIN, *probes.slices):
                inputs = {"world": self.world, "problems": self.sets[name]}
                queries[name] = self.add("probe_queries", f"{task} {name}", {"task": task, "candidates": probes.candidates}, inputs)
                for arm in ("trained", "random"):
                    both = {**inputs, "queries": queries[name], "checkpoint": self.checkpoint}
                    caches[arm, name] = self.add("activation_cache", f"{task} {name} {arm}", {"arm": arm}, both)
            for arm in ("trained", "random"):
                self.add("linear_probes", f"{task} {arm}", {"task": task}, {name: caches[arm, name] for name in (PROBE_TRAIN, *probes.slices)})
                self.add("v_probes", f"{task} {arm}", {"task": task, "arm": arm}, {"checkpoint": self.checkpoint, **queries})

    def _shard_settings(self) -> Mapping[str, Any]:
        return {"tokens": self.settings.tokens.canonical(), "window": self.settings.shards.window, "alignment": self.settings.shards.alignment}

    def _training_settings(self) -> Mapping[str, Any]:
        return {"model": self.settings.model.canonical(), "training": self.settings.training.canonical()}

    def add(self, stage: str, name: str, settings: Settings | Mapping[str, Any], inputs: Mapping[str, Unit]) -> Unit:
        canonical, runtime = (settings.canonical(), settings.runtime()) if isinstance(settings, Settings) else (dict(settings), {})
        unit = Unit(stage, name, stage_version(stage), canonical, dict(inputs), runtime)
        self.units.append(unit)
        return unit


def problem_sets(settings: ExperimentSettings) -> dict[str, ProblemSetSettings]:
    """The problem sets of an experiment by name: ``train``, ``monitor``, the evaluation slices, ``probe_train``."""
    evaluation, probes, family = settings.evaluation, settings.probes, settings.family
    sets = {}
    if not settings.shards.streaming:
        sets[TRAIN] = ProblemSetSettings(family=family, num_problems=settings.shards.num_problems, seed=settings.shards.seed)
    sets[MONITOR] = ProblemSetSettings(
        family=family, balanced=True, split="test", num_problems=evaluation.monitor_per_op * family.op_max, seed=evaluation.seed, stream="monitor"
    )
    for name in dict.fromkeys((*evaluation.slices, *probes.slices)):
        sets[name] = slice_set(
            name, evaluation.slices, family, num_problems=evaluation.num_problems, per_op=evaluation.problems_per_op, seed=evaluation.seed
        )
    if probes.tasks:
        sets[PROBE_TRAIN] = _probe_train(probes, settings)
    return sets


def _probe_train(probes: ProbesSection, settings: ExperimentSettings) -> ProblemSetSettings:
    return ProblemSetSettings(family=settings.family, num_problems=probes.num_problems, seed=probes.seed, stream="probes")
