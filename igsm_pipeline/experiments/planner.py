"""Member -> units in the order of the data flow -> fresh or stale, and why.

A unit's settings hold what its stage reads and nothing else, so that a change of the experiment file makes stale what reads it and what
rests on that, and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from igsm_pipeline.activations.settings import ActivationSettings
from igsm_pipeline.correlation.settings import CorrelationSettings
from igsm_pipeline.errors import IgsmError, NotFound
from igsm_pipeline.experiments.changes import explain_new
from igsm_pipeline.experiments.experiment import Broken, ExperimentSettings, Member, load_members
from igsm_pipeline.experiments.sections import EvaluationSection, ProbesSection
from igsm_pipeline.experiments.slices import MONITOR, PROBE_TRAIN, slice_set
from igsm_pipeline.experiments.stages import STAGES, find_stage, stage_version
from igsm_pipeline.generations.settings import GenerationSettings
from igsm_pipeline.probes.settings import LinearProbeSettings, VProbeSettings
from igsm_pipeline.problems.settings import FamilySettings, ProblemSetSettings
from igsm_pipeline.queries.settings import QuerySettings, Task
from igsm_pipeline.settings import Settings
from igsm_pipeline.store import NEVER, Freshness, Store, Unit
from igsm_pipeline.tokens.settings import ShardSettings
from igsm_pipeline.training.settings import CheckpointSettings, StreamSettings
from igsm_pipeline.verification.settings import VerdictSettings

TRAIN = "train"
ARM_KINDS: Mapping[Literal["trained", "random"], str] = {"trained": "activations", "random": "control"}
CORRELATED: tuple[Task, ...] = ("nece", "can_next", "nece_next")
"""The tasks whose probes the error correlation asks."""


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


def usable_plans(store: Store, broken: Broken, *, deep: bool = False) -> list[Plan]:
    """The plan of every member that can be planned.

    Args:
        store: where to look.
        broken: takes experiment files that break a rule or name files (a world, a model) that cannot be read.
        deep: as for ``plan``.
    """
    plans = []
    for member in load_members(broken).values():
        try:
            plans.append(plan(member, store, deep=deep))
        except IgsmError as error:
            broken[member.path] = error
    return plans


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
        self.common = {"family": settings.family, "tokens": settings.tokens}
        self.world = self.add("world", "world", settings.world, {})
        self.sets = {name: self.add("problem_sets", name, one, {"world": self.world}) for name, one in problem_sets(settings).items()}
        self.checkpoint = self._train()
        self._evaluate()
        self._probe()
        self._correlate()
        described = {"member": self.member.key, "title": settings.title, "experiment": settings.canonical()}
        self.add("report", "report", described, {f"{unit.stage}/{unit.name}": unit for unit in self.units})
        return self.units

    def _train(self) -> Unit:
        """The checkpoint; streamed training has no shards, a foreign checkpoint neither shards nor monitor."""
        settings = self.settings
        inputs, stream = {"world": self.world}, None
        if settings.model.path is None:
            inputs |= {name: unit for name, unit in self.sets.items() if name == MONITOR or name.startswith(f"{MONITOR}:")}
            if settings.shards.streaming:
                stream = StreamSettings(window=settings.shards.window, alignment=settings.shards.alignment, seed=settings.shards.seed)
            else:
                shards = ShardSettings(**self.common, window=settings.shards.window, alignment=settings.shards.alignment)
                inputs["shards"] = self.add("token_shards", TRAIN, shards, {"world": self.world, "problems": self.sets[TRAIN]})
        trained = CheckpointSettings(**self.common, stream=stream, model=settings.model, training=settings.training)
        return self.add("checkpoint", "checkpoint", trained, inputs)

    def _evaluate(self) -> None:
        evaluation = self.settings.evaluation
        self.generations: dict[tuple[str, int], Unit] = {}
        self.verdicts: dict[tuple[str, int], Unit] = {}
        judged = VerdictSettings(modulus=self.settings.family.modulus, tokens=self.settings.tokens)
        for name in evaluation.slices:
            for beam in evaluation.beams:
                inputs = {"world": self.world, "problems": self.sets[name]}
                label = f"{name} beam {beam}"
                how = GenerationSettings(**self.common, beam=beam, max_tokens=evaluation.max_tokens, seed=evaluation.seed)
                made = self.add("generations", label, how, {**inputs, "checkpoint": self.checkpoint})
                self.generations[name, beam] = made
                self.verdicts[name, beam] = self.add("verdicts", label, judged, {**inputs, "generations": made})

    def _probe(self) -> None:
        self.v_probes: dict[str, Unit] = {}
        for task in self.settings.probes.tasks:
            self._probe_task(task)

    def _probe_task(self, task: Task) -> None:
        probes, family = self.settings.probes, self.settings.family
        parts = (PROBE_TRAIN, *probes.slices)
        problems = {f"problems:{part}": self.sets[part] for part in parts}
        queries, states = {}, {}
        for part in parts:
            asked = QuerySettings(
                family=family, task=task, candidates=probes.candidates, per_problem=probes.per_problem, seed=probes.seed, stream=f"queries {part}"
            )
            inputs = {"world": self.world, "problems": self.sets[part]}
            queries[f"queries:{part}"] = self.add("probe_queries", f"{task} {part}", asked, inputs)
            for arm, kind in ARM_KINDS.items():
                kept = ActivationSettings(**self.common, arm=arm, seed=probes.seed)
                read = {**inputs, "queries": queries[f"queries:{part}"], "checkpoint": self.checkpoint}
                states[f"{kind}:{part}"] = self.add("activation_cache", f"{task} {part} {arm}", kept, read)
        linear = LinearProbeSettings(modulus=family.modulus, l2=probes.linear_l2, seed=probes.seed)
        self.add("linear_probes", task, linear, {**queries, **states})
        recipe = VProbeSettings(
            **self.common,
            task=task,
            num_steps=probes.num_steps,
            batch_problems=probes.batch_problems,
            rank=probes.rank,
            learning_rate=probes.learning_rate,
            weight_decay=probes.weight_decay,
            seed=probes.seed,
        )
        self.v_probes[task] = self.add("v_probes", task, recipe, {"world": self.world, "checkpoint": self.checkpoint, **problems, **queries})

    def _correlate(self) -> None:
        tasks = [task for task in CORRELATED if task in self.v_probes]
        if not tasks:
            return
        inputs = {"world": self.world, "checkpoint": self.checkpoint} | {f"v_probes:{task}": self.v_probes[task] for task in tasks}
        beam = self.settings.evaluation.beams[0]
        for name in self.settings.evaluation.slices:
            inputs |= {
                f"problems:{name}": self.sets[name],
                f"generations:{name}": self.generations[name, beam],
                f"verdicts:{name}": self.verdicts[name, beam],
            }
        probes = self.settings.probes
        self.add("error_correlation", "error_correlation", CorrelationSettings(**self.common, candidates=probes.candidates, seed=probes.seed), inputs)

    def add(self, stage: str, name: str, settings: Settings | Mapping[str, Any], inputs: Mapping[str, Unit]) -> Unit:
        canonical, runtime = (settings.canonical(), settings.runtime()) if isinstance(settings, Settings) else (dict(settings), {})
        unit = Unit(stage, name, stage_version(stage), canonical, dict(inputs), runtime)
        self.units.append(unit)
        return unit


def problem_sets(settings: ExperimentSettings) -> dict[str, ProblemSetSettings]:
    """The problem sets of an experiment by name: ``train``, ``monitor``, ``monitor:SLICE``, the evaluation slices, ``probe_train``."""
    evaluation, probes, family = settings.evaluation, settings.probes, settings.family
    sets = {}
    trained = settings.model.path is None
    if trained and not settings.shards.streaming:
        sets[TRAIN] = ProblemSetSettings(family=family, num_problems=settings.shards.num_problems, seed=settings.shards.seed)
    if trained:
        sets |= _watched(evaluation, family)
    for name in dict.fromkeys((*evaluation.slices, *probes.slices)):
        sets[name] = slice_set(
            name, evaluation.slices, family, num_problems=evaluation.num_problems, per_op=evaluation.problems_per_op, seed=evaluation.seed
        )
    if probes.tasks:
        sets[PROBE_TRAIN] = _probe_train(probes, settings)
    return sets


def _watched(evaluation: EvaluationSection, family: FamilySettings) -> dict[str, ProblemSetSettings]:
    """The sets that are solved while training."""
    sets = {}
    sets[MONITOR] = ProblemSetSettings(
        family=family, balanced=True, split="test", num_problems=evaluation.monitor_per_op * family.op_max, seed=evaluation.seed, stream="monitor"
    )
    for name in evaluation.monitor_slices:
        watched = slice_set(name, evaluation.slices, family, num_problems=evaluation.monitor_per_op, per_op=1, seed=evaluation.seed)
        sets[f"{MONITOR}:{name}"] = watched.model_copy(update={"stream": watched.stream.replace("evaluation", MONITOR)})
    return sets


def catalog_rows(store: Store) -> list[dict[str, Any]]:
    """Every fresh unit of every member as a row (member, stage, name, folder), as the DuckDB views take them."""
    rows = []
    for looked in usable_plans(store, {}):
        for unit, state in zip(looked.units, looked.freshness, strict=True):
            if state.fresh:
                rows.append({"member": looked.member.key, "stage": unit.stage, "name": unit.name, "folder": store.path(unit)})
    return rows


def _probe_train(probes: ProbesSection, settings: ExperimentSettings) -> ProblemSetSettings:
    return ProblemSetSettings(family=settings.family, num_problems=probes.num_problems, seed=probes.seed, stream="probes")
