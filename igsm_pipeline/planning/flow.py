"""The pipeline: its stages in the order of the data flow, and the units of each stage that a member needs.

A unit's settings hold what its stage reads and nothing else. So a change of the experiment file makes only those units stale that read it, and the
units that depend on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from igsm_pipeline.activations.settings import ActivationSettings
from igsm_pipeline.activations.stage import STAGE as ACTIVATION_CACHE
from igsm_pipeline.correlation.settings import CorrelationSettings
from igsm_pipeline.correlation.stage import STAGE as ERROR_CORRELATION
from igsm_pipeline.emergence.settings import SOLVED, EmergenceSettings
from igsm_pipeline.emergence.stage import STAGE as EMERGENCE
from igsm_pipeline.errors import NotFound, did_you_mean
from igsm_pipeline.evaluations.settings import LogSettings, logs_hash
from igsm_pipeline.evaluations.stage import STAGE as LLM_EVALUATIONS
from igsm_pipeline.experiments.experiment import Member
from igsm_pipeline.experiments.problem_sets import ERASED, ERASED_FIT, INTERCHANGED, REGRETTED, SNAPSHOTS, STEERED, TRAIN, TWINS, problem_sets
from igsm_pipeline.experiments.slices import MONITOR, PROBE_TRAIN
from igsm_pipeline.generations.settings import GenerationSettings
from igsm_pipeline.generations.stage import STAGE as GENERATIONS
from igsm_pipeline.interventions.settings import ErasureSettings, InterchangeSettings, SteeringSettings
from igsm_pipeline.interventions.stage import ERASURE, STEERING
from igsm_pipeline.interventions.stage import STAGE as INTERCHANGE
from igsm_pipeline.knowledge.settings import RECIPES, Control, ProbeControlSettings, SetSettings
from igsm_pipeline.knowledge.stage import STAGE as PROBE_CONTROLS
from igsm_pipeline.model.settings import ControlSettings
from igsm_pipeline.model.stage import STAGE as CONTROL
from igsm_pipeline.own_problems.settings import OwnProblemSettings
from igsm_pipeline.own_problems.stage import STAGE as OWN_PROBLEMS
from igsm_pipeline.planning.wiring import RECIPE, Wiring, evaluations, wired
from igsm_pipeline.probes.settings import ARMS, Arm, LinearProbeSettings, ScoreSettings, TextProbeSettings, VProbeSettings
from igsm_pipeline.probes.stage import LINEAR_PROBES, PROBE_SCORES, TEXT_PROBES, V_PROBES
from igsm_pipeline.problems.settings import OWN
from igsm_pipeline.problems.stage import STAGE as PROBLEM_SETS
from igsm_pipeline.queries.settings import QuerySetSettings
from igsm_pipeline.queries.stage import STAGE as PROBE_QUERIES
from igsm_pipeline.queries.tasks import TaskName
from igsm_pipeline.regret.settings import RegretSettings
from igsm_pipeline.regret.stage import STAGE as REGRET
from igsm_pipeline.reports.settings import ReportSettings
from igsm_pipeline.reports.stage import STAGE as REPORT
from igsm_pipeline.settings import hash_json
from igsm_pipeline.stage import Role, Stage
from igsm_pipeline.store import Unit, hash_file
from igsm_pipeline.tokens.settings import ShardSettings
from igsm_pipeline.tokens.stage import STAGE as TOKEN_SHARDS
from igsm_pipeline.training.settings import CheckpointSettings, StreamSettings
from igsm_pipeline.training.stage import STAGE as CHECKPOINT
from igsm_pipeline.verification.settings import VerdictSettings
from igsm_pipeline.verification.stage import STAGE as VERDICTS
from igsm_pipeline.world.stage import STAGE as WORLD

CORRELATED: tuple[TaskName, ...] = ("nece", "can_next", "nece_next")
"""The tasks whose probes the error correlation uses."""


def wire_world(wiring: Wiring) -> None:
    """One world."""
    wiring.add(WORLD, "world", wiring.settings.world, {})


def wire_own_problems(wiring: Wiring) -> None:
    """Add the problems of a file of one's own, if the experiment names one."""
    source = wiring.settings.problems.source
    if source is not None:
        wiring.add(OWN_PROBLEMS, "own_problems", OwnProblemSettings.of(Path(source), wiring.settings.family), wiring.world)


def wire_problem_sets(wiring: Wiring) -> None:
    """Add the training set, the sets that are solved during training, one set per evaluation slice, and one to train probes on."""
    own = {Role(OWN): unit for unit in wiring.made.get(OWN_PROBLEMS.name, {}).values()}
    for name, settings in problem_sets(wiring.settings).items():
        wiring.add(PROBLEM_SETS, name, settings, {**wiring.world, **own})


def wire_token_shards(wiring: Wiring) -> None:
    """Add the training set's windows; there are none if training is streamed or the model is foreign."""
    if TRAIN in wiring.made[PROBLEM_SETS.name]:
        wiring.add(TOKEN_SHARDS, TRAIN, ShardSettings(**wiring.common, **wiring.settings.shards.windows), wiring.problems(TRAIN))


def wire_checkpoint(wiring: Wiring) -> None:
    """Add the checkpoint; streamed training has no shards, a foreign checkpoint has neither shards nor monitor."""
    settings, inputs, stream = wiring.settings, wiring.world, None
    if settings.model.path is None:
        for name, unit in wiring.made[PROBLEM_SETS.name].items():
            watched, _, part = name.partition(":")
            if watched == MONITOR:
                inputs[Role(MONITOR, part)] = unit
        if settings.shards.streaming:
            stream = StreamSettings(**settings.shards.windows, seed=settings.shards.seed)
        else:
            inputs[Role("shards")] = wiring.one(TOKEN_SHARDS, TRAIN)
    trained = CheckpointSettings(**wiring.common, stream=stream, model=settings.model, training=settings.training)
    wiring.add(CHECKPOINT, "checkpoint", trained, inputs)


def wire_generations(wiring: Wiring) -> None:
    """Add the solutions of every slice for every number of beams."""
    evaluation = wiring.settings.evaluation
    for part, beam, name in evaluations(wiring.settings):
        grouping, drawn = ("similar", 0.0) if beam > 1 else ("equal", evaluation.temperature)
        limit = {"max_tokens": evaluation.max_tokens, "seed": evaluation.seed}
        how = GenerationSettings(**wiring.common, beam=beam, grouping=grouping, temperature=drawn, **limit)
        inputs = {**wiring.problems(part), Role("checkpoint"): wiring.model("trained")}
        wiring.add(GENERATIONS, name, how, inputs, slice=part, beams=beam)


def wire_verdicts(wiring: Wiring) -> None:
    """Add the verdicts on all solutions."""
    judged = VerdictSettings(modulus=wiring.settings.family.modulus, tokens=wiring.settings.tokens)
    for part, beam, name in evaluations(wiring.settings):
        inputs = {**wiring.problems(part), Role("generations"): wiring.one(GENERATIONS, name)}
        wiring.add(VERDICTS, name, judged, inputs, slice=part, beams=beam)


def wire_control(wiring: Wiring) -> None:
    """Add the control, if anything is probed."""
    if wiring.probed:
        plain = wiring.settings.model.model_copy(update={"offset_heads": ()})  # random weights alone, as where a published model is probed
        drawn = ControlSettings(**wiring.common, model=plain, seed=wiring.settings.probes.seed)
        wiring.add(CONTROL, "control", drawn, wiring.world)


def wire_probe_queries(wiring: Wiring) -> None:
    """Add queries per problem set, so that one more slice leaves the others fresh."""
    probes = wiring.settings.probes
    for part in wiring.probed:
        asked = QuerySetSettings(
            family=wiring.settings.family,
            tasks=probes.tasks,
            candidates=probes.candidates,
            per_problem=probes.per_problem,
            first=None if part == PROBE_TRAIN else probes.slice_problems,
            seed=probes.seed,
            stream=f"queries {part}",
        )
        wiring.add(PROBE_QUERIES, part, asked, wiring.problems(part))


def _states(wiring: Wiring, arm: Arm, layers: tuple[int, ...] = ()) -> ActivationSettings:
    return ActivationSettings(**wiring.common, tasks=wiring.settings.probes.tasks, arm=arm, layers=tuple(sorted(layers)) or None)


def wire_activation_cache(wiring: Wiring) -> None:
    """Add states per problem set and model, if they are kept."""
    probes = wiring.settings.probes
    for part in () if probes.keep_states == "none" else wiring.probed:
        for arm in ARMS:
            inputs = {**wiring.asked(part), Role("model"): wiring.model(arm)}
            wiring.add(ACTIVATION_CACHE, f"{part} {arm}", _states(wiring, arm, probes.kept_layers), inputs, slice=part, arm=arm)


def wire_linear_probes(wiring: Wiring) -> None:
    """Add linear probes of all tasks and layers per model; they read kept states where all are kept."""
    probes = wiring.settings.probes
    kept = wiring.made.get(ACTIVATION_CACHE.name, {}) if probes.keep_states == "all" else {}
    for arm in ARMS if wiring.probed else ():
        inputs = {**wiring.asked(PROBE_TRAIN), Role("model"): wiring.model(arm)}
        if kept:
            inputs = {Role("queries"): wiring.one(PROBE_QUERIES, PROBE_TRAIN), Role("activations"): kept[f"{PROBE_TRAIN} {arm}"]}
        fitted = LinearProbeSettings(
            modulus=wiring.settings.family.modulus,
            tasks=probes.tasks,
            arm=arm,
            l2=probes.linear_l2,
            seed=probes.seed,
            prior=probes.prior,
            states=None if kept else _states(wiring, arm),
        )
        wiring.add(LINEAR_PROBES, arm, fitted, inputs, arm=arm)


def wire_v_probes(wiring: Wiring) -> None:
    """Add a V-probe per task and model; for nece also one per layer that the experiment names; one per task and control that it asks for."""
    probes = wiring.settings.probes
    for task in probes.tasks:
        for arm in ARMS:
            _add_v_probe(wiring, f"{task} {arm}", task=task, arm=arm)
    for layer in probes.layers if "nece" in probes.tasks else ():
        _add_v_probe(wiring, f"nece layer {layer}", task="nece", arm="trained", layer=layer)
    for control in wiring.settings.knowledge.controls:
        for task in probes.tasks:
            _add_v_probe(wiring, f"{task} {control}", task=task, arm="trained", control=control)


def _add_v_probe(wiring: Wiring, name: str, *, task: TaskName, arm: Arm, control: Control | None = None, **layer: int) -> None:
    probes = wiring.settings.probes
    shared = {name: getattr(probes, name) for name in RECIPE}
    more = layer if control is None else RECIPES[control]
    recipe = VProbeSettings(**wiring.common, task=task, arm=arm, prior=probes.prior, **shared, **more)
    wiring.add(V_PROBES, name, recipe, {**wiring.asked(PROBE_TRAIN), Role("model"): wiring.model(arm)}, task=task, arm=control or arm, **layer)


def wire_text_probes(wiring: Wiring) -> None:
    """The floor per slice: what trees that learn from the probes' training set read off the text."""
    probes = wiring.settings.probes
    for part in probes.slices if wiring.probed else ():
        inputs = wiring.asked(part)
        inputs[Role("problems", TRAIN)] = wiring.one(PROBLEM_SETS, PROBE_TRAIN)
        inputs[Role("queries", TRAIN)] = wiring.one(PROBE_QUERIES, PROBE_TRAIN)
        settings = TextProbeSettings(slice=part, modulus=wiring.settings.family.modulus, tasks=probes.tasks, seed=probes.seed, prior=probes.prior)
        wiring.add(TEXT_PROBES, part, settings, inputs, slice=part)


def wire_probe_scores(wiring: Wiring) -> None:
    """Add scores per slice, so that one more slice trains no probe again."""
    probes = wiring.settings.probes
    for part in probes.slices if wiring.probed else ():
        inputs = wiring.asked(part)
        for arm in ARMS:
            inputs[Role("model", arm)] = wiring.model(arm)
            if probes.keep_states == "all":
                inputs[Role("activations", arm)] = wiring.one(ACTIVATION_CACHE, f"{part} {arm}")
            inputs[Role("linear_probes", arm)] = wiring.one(LINEAR_PROBES, arm)
        inputs[Role("text_probes")] = wiring.one(TEXT_PROBES, part)
        inputs |= {Role("v_probes", name): unit for name, unit in wiring.made[V_PROBES.name].items() if unit.labels["arm"] in ARMS}
        settings = ScoreSettings(**wiring.common, slice=part, tasks=probes.tasks, precision=probes.precision, seed=probes.seed)
        wiring.add(PROBE_SCORES, part, settings, inputs, slice=part)


def wire_probe_controls(wiring: Wiring) -> None:
    """Add the comparison of V-probes with the controls that the experiment asks for, over all slices, and of the candidate sets that it names."""
    probes, controls, sets = wiring.settings.probes, wiring.settings.knowledge.controls, wiring.settings.knowledge.candidate_sets
    if not (wiring.probed and probes.slices and (controls or sets)):
        return
    inputs = wiring.world
    for part, name in ((TRAIN, PROBE_TRAIN), *((part, part) for part in probes.slices)):
        inputs[Role("problems", part)] = wiring.one(PROBLEM_SETS, name)
        inputs[Role("queries", part)] = wiring.one(PROBE_QUERIES, name)
    inputs |= {Role("text_probes", part): wiring.one(TEXT_PROBES, part) for part in probes.slices}
    inputs |= {Role("model", arm): wiring.model(arm) for arm in ARMS}
    inputs |= {
        Role("v_probes", name): wiring.one(V_PROBES, name) for task in probes.tasks for name in (f"{task} {part}" for part in (*ARMS, *controls))
    }
    side = SetSettings(sets=sets, per_problem=probes.per_problem, first=probes.slice_problems, seed=probes.seed) if sets else None
    recipe = {"precision": probes.precision, "seed": probes.seed, "candidates": side}
    asked = ProbeControlSettings(**wiring.common, tasks=probes.tasks, controls=controls, slices=probes.slices, **recipe)
    wiring.add(PROBE_CONTROLS, "probe_controls", asked, inputs)


def wire_error_correlation(wiring: Wiring) -> None:
    """Add figure 8 over all slices, if a task that it needs is probed."""
    settings = wiring.settings
    tasks = [task for task in CORRELATED if task in settings.probes.tasks]
    if not tasks:
        return
    inputs = {**wiring.world, Role("checkpoint"): wiring.model("trained")}
    inputs |= {Role("v_probes", task): wiring.one(V_PROBES, f"{task} trained") for task in tasks}
    beam = settings.evaluation.beams[0]
    for part in settings.evaluation.slices:
        inputs[Role("problems", part)] = wiring.one(PROBLEM_SETS, part)
        inputs[Role("generations", part)] = wiring.one(GENERATIONS, f"{part} beam {beam}")
        inputs[Role("verdicts", part)] = wiring.one(VERDICTS, f"{part} beam {beam}")
    recipe = {"candidates": settings.probes.candidates, "precision": settings.probes.precision, "seed": settings.probes.seed}
    wiring.add(ERROR_CORRELATION, "error_correlation", CorrelationSettings(**wiring.common, **recipe), inputs)


def wire_interchange(wiring: Wiring) -> None:
    """Add the exchange of states between twins, if the experiment asks for it."""
    asked = wiring.settings.interchange
    if asked.pairs:
        inputs = {**wiring.world, Role("checkpoint"): wiring.model("trained")}
        inputs |= {Role("problems", name.rpartition(" ")[2]): wiring.one(PROBLEM_SETS, name) for name in (INTERCHANGED, TWINS)}
        wiring.add(INTERCHANGE, "interchange", InterchangeSettings(**wiring.common, layers=asked.layers, seed=asked.seed), inputs)


def wire_llm_evaluations(wiring: Wiring) -> None:
    """Add the answers of other people's models, if the experiment names logs."""
    logs = wiring.settings.llm_evaluations.logs
    if logs is not None:
        wiring.add(LLM_EVALUATIONS, "llm_evaluations", LogSettings(logs=logs, content=logs_hash(Path(logs))), {})


def wire_steering(wiring: Wiring) -> None:
    """Add the pushes along the direction of the V-probe of nece, if the experiment asks for them."""
    asked = wiring.settings.steering
    if STEERED in wiring.made[PROBLEM_SETS.name]:
        inputs = {**wiring.problems(STEERED), Role("checkpoint"): wiring.model("trained"), Role("v_probes"): wiring.one(V_PROBES, "nece trained")}
        pushed = SteeringSettings(**wiring.common, layers=asked.layers, strengths=asked.strengths, seed=asked.seed)
        wiring.add(STEERING, "steering", pushed, inputs)


def wire_erasure(wiring: Wiring) -> None:
    """Add the erasure of concepts, if the experiment asks for it."""
    asked = wiring.settings.erasure
    if asked.problems:
        parts = {name.rpartition(" ")[2]: name for name in (ERASED, ERASED_FIT)}
        inputs = {**wiring.world, Role("checkpoint"): wiring.model("trained")}
        inputs |= {Role("problems", part): wiring.one(PROBLEM_SETS, name) for part, name in parts.items()}
        how = {name: getattr(asked, name) for name in ("tasks", "layers", "at", "draws", "seed")}
        wiring.add(ERASURE, "erasure", ErasureSettings(**wiring.common, max_tokens=wiring.settings.evaluation.max_tokens, **how), inputs)


def wire_emergence(wiring: Wiring) -> None:
    """Add the look at the training's snapshots, if it keeps any."""
    settings, probes = wiring.settings, wiring.settings.probes
    if SNAPSHOTS not in wiring.made[PROBLEM_SETS.name]:
        return
    part = probes.slices[0] if probes.slices else ""
    inputs = {**wiring.world, Role("checkpoint"): wiring.model("trained"), Role("problems", SOLVED): wiring.one(PROBLEM_SETS, SNAPSHOTS)}
    for role, name in ((TRAIN, PROBE_TRAIN), (part, part)) if probes.tasks and part else ():
        inputs |= {Role("problems", role): wiring.one(PROBLEM_SETS, name), Role("queries", role): wiring.one(PROBE_QUERIES, name)}
    asked = {name: getattr(settings.emergence, name) for name in ("num_steps", "batch_problems", "starts", "start_steps", "seed")}
    recipe = {name: getattr(probes, name) for name in ("rank", "learning_rate", "warmup_steps")}
    looked = EmergenceSettings(
        **wiring.common, slice=part, tasks=probes.tasks if part else (), max_tokens=settings.evaluation.max_tokens, **asked, **recipe
    )
    wiring.add(EMERGENCE, "emergence", looked, inputs)


def wire_regret(wiring: Wiring) -> None:
    """Add the probe of regret and what retrying upon it brings, over all slices, if the experiment asks for it."""
    asked, evaluation, probes = wiring.settings.regret, wiring.settings.evaluation, wiring.settings.probes
    if not (asked.problems and evaluation.slices):
        return
    inputs = {**wiring.world, Role("checkpoint"): wiring.model("trained"), Role("problems", TRAIN): wiring.one(PROBLEM_SETS, REGRETTED)}
    for part, beam, name in evaluations(wiring.settings):
        role = part if beam == 1 else name
        inputs[Role("problems", part)] = wiring.one(PROBLEM_SETS, part)
        inputs |= {Role("generations", role): wiring.one(GENERATIONS, name), Role("verdicts", role): wiring.one(VERDICTS, name)}
    recipe = VProbeSettings(**wiring.common, task="can_next", **{name: getattr(probes, name) for name in RECIPE})
    how = {name: getattr(asked, name) for name in ("problems", "tries", "seed")}
    solved = {"per_problem": probes.per_problem, "slices": evaluation.slices, "max_tokens": evaluation.max_tokens}
    retried = RegretSettings(**wiring.common, recipe=recipe, **solved, **how)
    wiring.add(REGRET, "regret", retried, inputs)


def wire_report(wiring: Wiring) -> None:
    """Add one report of everything."""
    described = ReportSettings(member=wiring.member.key, title=wiring.settings.title, experiment=wiring.settings.canonical())
    wiring.add(REPORT, "report", described, {Role(unit.stage, unit.name, "/"): unit for unit in wiring.units})


FLOW = {
    WORLD: wire_world,
    OWN_PROBLEMS: wire_own_problems,
    PROBLEM_SETS: wire_problem_sets,
    TOKEN_SHARDS: wire_token_shards,
    CHECKPOINT: wire_checkpoint,
    GENERATIONS: wire_generations,
    VERDICTS: wire_verdicts,
    PROBE_QUERIES: wire_probe_queries,
    CONTROL: wire_control,
    ACTIVATION_CACHE: wire_activation_cache,
    LINEAR_PROBES: wire_linear_probes,
    V_PROBES: wire_v_probes,
    TEXT_PROBES: wire_text_probes,
    PROBE_SCORES: wire_probe_scores,
    PROBE_CONTROLS: wire_probe_controls,
    ERROR_CORRELATION: wire_error_correlation,
    INTERCHANGE: wire_interchange,
    LLM_EVALUATIONS: wire_llm_evaluations,
    STEERING: wire_steering,
    ERASURE: wire_erasure,
    EMERGENCE: wire_emergence,
    REGRET: wire_regret,
    REPORT: wire_report,
}
"""Every stage with the function that adds its units, in the order of the data flow: the pipeline on one screen."""

STAGES: Mapping[str, Stage] = {stage.name: stage for stage in FLOW}
"""The stages by name, in the order of the data flow."""


def find_stage(name: str) -> Stage:
    """Find a stage by name.

    Raises:
        NotFound: there is no such stage; the message lists all.
    """
    if name not in STAGES:
        near = did_you_mean(name, STAGES)
        raise NotFound(f"no stage {name!r}{'; ' * bool(near)}{near}\nthe stages are {', '.join(STAGES)}")
    return STAGES[name]


def declared_text() -> str:
    """Hash of the declarations as they are on the disk now. If it changes, this process may know old VERSIONs and should be restarted."""
    package = Path(__file__).parents[1]
    wired = (Path(__file__), package / "planning" / "wiring.py", package / "experiments" / "problem_sets.py")
    return hash_json([hash_file(file) for file in (*sorted(package.glob("*/stage.py")), *wired)])


def units_of(member: Member) -> list[Unit]:
    """All units of a member; each comes after its inputs, the report last.

    Raises:
        BadSettings, BadWorld, BadCheckpoint, NotFound: a file that the member names cannot be read.
    """
    return wired(member, FLOW.values())
