"""Member -> units in the order of the data flow -> fresh or stale, and why.

A unit's settings hold what its stage reads and nothing else, so that a change of the experiment file makes stale what reads it and what
rests on that, and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from igsm_pipeline.activations.settings import ActivationSettings
from igsm_pipeline.correlation.settings import CorrelationSettings
from igsm_pipeline.errors import IgsmError, NotFound
from igsm_pipeline.experiments.experiment import Broken, ExperimentSettings, Member, load_members
from igsm_pipeline.experiments.sections import EvaluationSection, ProbesSection
from igsm_pipeline.experiments.slices import MONITOR, PROBE_TRAIN, slice_set
from igsm_pipeline.generations.settings import GenerationSettings
from igsm_pipeline.model.settings import ControlSettings
from igsm_pipeline.planning.novelty import explain_new
from igsm_pipeline.planning.stages import STAGES, find_stage, stage_version
from igsm_pipeline.probes.settings import ARMS, Arm, LinearProbeSettings, ScoreSettings, VProbeSettings
from igsm_pipeline.problems.settings import FamilySettings, ProblemSetSettings
from igsm_pipeline.queries.settings import QuerySetSettings
from igsm_pipeline.queries.tasks import TaskName
from igsm_pipeline.settings import Settings
from igsm_pipeline.store import NEVER, Freshness, Store, Unit
from igsm_pipeline.tokens.settings import ShardSettings
from igsm_pipeline.training.settings import CheckpointSettings, StreamSettings
from igsm_pipeline.verification.settings import VerdictSettings

TRAIN = "train"
CORRELATED: tuple[TaskName, ...] = ("nece", "can_next", "nece_next")
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
        """Queries and states per problem set, probes per arm (V-probes per task, too), scores per slice: one more slice trains nothing anew."""
        probes = self.settings.probes
        self.v_probes: dict[tuple[TaskName, Arm], Unit] = {}
        if not probes.tasks:
            return
        self.models: dict[Arm, Unit] = {"trained": self.checkpoint, "random": self._control()}
        self.queries = {part: self._ask(part) for part in (PROBE_TRAIN, *probes.slices)}
        self.states = {(part, arm): self._read_states(part, arm) for part in self.queries for arm in ARMS}
        self.linear = {arm: self._fit(arm) for arm in ARMS}
        for task in probes.tasks:
            for arm in ARMS:
                self.v_probes[task, arm] = self._train_probe(task, arm)
        for name in probes.slices:
            self._score(name)

    def _control(self) -> Unit:
        settings = self.settings
        foreign = settings.model.path is not None
        drawn = ControlSettings(**self.common, model=None if foreign else settings.model, seed=settings.probes.seed)
        return self.add("control", "control", drawn, {"checkpoint": self.checkpoint} if foreign else {"world": self.world})

    def _ask(self, part: str) -> Unit:
        probes = self.settings.probes
        asked = QuerySetSettings(
            family=self.settings.family,
            tasks=probes.tasks,
            candidates=probes.candidates,
            per_problem=probes.per_problem,
            first=None if part == PROBE_TRAIN else probes.slice_problems,
            seed=probes.seed,
            stream=f"queries {part}",
        )
        return self.add("probe_queries", part, asked, {"world": self.world, "problems": self.sets[part]})

    def _asked(self, part: str) -> dict[str, Unit]:
        return {"world": self.world, "problems": self.sets[part], "queries": self.queries[part]}

    def _read_states(self, part: str, arm: Arm) -> Unit:
        kept = ActivationSettings(**self.common, tasks=self.settings.probes.tasks, arm=arm)
        return self.add("activation_cache", f"{part} {arm}", kept, {**self._asked(part), "model": self.models[arm]})

    def _fit(self, arm: Arm) -> Unit:
        probes = self.settings.probes
        fitted = LinearProbeSettings(modulus=self.settings.family.modulus, tasks=probes.tasks, arm=arm, l2=probes.linear_l2, seed=probes.seed)
        return self.add("linear_probes", arm, fitted, {"queries": self.queries[PROBE_TRAIN], "activations": self.states[PROBE_TRAIN, arm]})

    def _train_probe(self, task: TaskName, arm: Arm) -> Unit:
        probes = self.settings.probes
        recipe = VProbeSettings(
            **self.common,
            task=task,
            arm=arm,
            num_steps=probes.num_steps,
            batch_problems=probes.batch_problems,
            rank=probes.rank,
            learning_rate=probes.learning_rate,
            warmup_steps=probes.warmup_steps,
            starts=probes.starts,
            start_steps=probes.start_steps,
            weight_decay=probes.weight_decay,
            seed=probes.seed,
        )
        return self.add("v_probes", f"{task} {arm}", recipe, {**self._asked(PROBE_TRAIN), "model": self.models[arm]})

    def _score(self, name: str) -> None:
        probes = self.settings.probes
        inputs = self._asked(name)
        for arm in ARMS:
            inputs |= {f"model:{arm}": self.models[arm], f"activations:{arm}": self.states[name, arm], f"linear_probes:{arm}": self.linear[arm]}
        inputs |= {f"v_probes:{task} {arm}": unit for (task, arm), unit in self.v_probes.items()}
        self.add("probe_scores", name, ScoreSettings(**self.common, slice=name, tasks=probes.tasks, seed=probes.seed), inputs)

    def _correlate(self) -> None:
        tasks = [task for task in CORRELATED if task in self.settings.probes.tasks]
        if not tasks:
            return
        inputs = {"world": self.world, "checkpoint": self.checkpoint} | {f"v_probes:{task}": self.v_probes[task, "trained"] for task in tasks}
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
