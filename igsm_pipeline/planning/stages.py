"""The table of stages: where each one's settings and function live, and which units may run side by side.

Everything is named, nothing imported, so that plans are made in milliseconds: a stage's code (and torch) is loaded when one of its units
is computed. The same goes for VERSION, which is read from the stage module's text.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from igsm_pipeline.errors import NotFound, did_you_mean
from igsm_pipeline.settings import Settings
from igsm_pipeline.store import Unit, Writing

PACKAGE_FOLDER = Path(__file__).parents[1]


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: as in the store.
        module: the module, below ``igsm_pipeline``, that holds its function.
        function: name of ``function(settings, inputs, writing)``.
        settings_module: the module of its settings class.
        settings: name of that class.
        version: name of the VERSION constant in ``module``.
        parallel: its units are computed by one thread each, so that several may run side by side.
        workers: its function takes ``workers``, processes that share one unit; files do not depend on their number.
        torch: it computes with torch, on a GPU where there is one.
        yields: it runs at a lower priority, so that data made on all cores does not slow down a training beside it.
    """

    name: str
    module: str
    function: str
    settings_module: str
    settings: str
    version: str = "VERSION"
    parallel: bool = False
    workers: bool = False
    torch: bool = False
    yields: bool = False


STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("world", "world.write", "write_world", "world.settings", "WorldSettings"),
        Stage("problem_sets", "problems.write", "write_problem_set", "problems.settings", "ProblemSetSettings", workers=True, yields=True),
        Stage("token_shards", "tokens.write", "write_shards", "tokens.settings", "ShardSettings", workers=True, yields=True),
        Stage("checkpoint", "training.write", "write_checkpoint", "training.settings", "CheckpointSettings", torch=True),
        Stage("generations", "generations.write", "write_generations", "generations.settings", "GenerationSettings", torch=True),
        Stage("verdicts", "verification.write", "write_verdicts", "verification.settings", "VerdictSettings", parallel=True, yields=True),
        Stage("probe_queries", "queries.write", "write_queries", "queries.settings", "QuerySetSettings", parallel=True, yields=True),
        Stage("control", "model.write", "write_control", "model.settings", "ControlSettings", torch=True),
        Stage("activation_cache", "activations.write", "write_activations", "activations.settings", "ActivationSettings", parallel=True, torch=True),
        Stage(
            "linear_probes", "probes.write_linear_probes", "write_linear_probes", "probes.settings", "LinearProbeSettings", parallel=True, torch=True
        ),
        Stage("v_probes", "probes.write_v_probe", "write_v_probe", "probes.settings", "VProbeSettings", parallel=True, torch=True),
        Stage("probe_scores", "probes.write_scores", "write_scores", "probes.settings", "ScoreSettings", parallel=True, torch=True),
        Stage("error_correlation", "correlation.write", "write_correlation", "correlation.settings", "CorrelationSettings", torch=True),
        Stage("report", "reports.write", "write_report", "reports.settings", "ReportSettings"),
    )
}
"""In the order of the data flow."""


def find_stage(name: str) -> Stage:
    """A stage by name.

    Raises:
        NotFound: there is none; the message lists them.
    """
    if name not in STAGES:
        near = did_you_mean(name, STAGES)
        raise NotFound(f"no stage {name!r}{'; ' * bool(near)}{near}\nthe stages are {', '.join(STAGES)}")
    return STAGES[name]


def stage_version(name: str) -> int:
    """The VERSION of a stage, read from its module's text without importing it; an edit counts at once, in long-lived processes too.

    Raises:
        NotFound: the module states none.
    """
    stage = find_stage(name)
    path = PACKAGE_FOLDER.joinpath(*stage.module.split(".")).with_suffix(".py")
    return _version(stage, path, path.stat().st_mtime_ns)


@lru_cache
def _version(stage: Stage, path: Path, _mtime_ns: int) -> int:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Constant) or not isinstance(node.value.value, int):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Name) and target.id == stage.version for target in targets):
            return node.value.value
    raise NotFound(f"stage {stage.name} has no {stage.version} in {path}: state it as {stage.version} = 1")


def compute(unit: Unit, inputs: Mapping[str, Path], writing: Writing, *, workers: int = 1) -> None:
    """Run a unit's stage function into ``writing.folder``; imports the stage's code, torch included.

    Args:
        unit: what to compute.
        inputs: role -> folder of the finished input.
        writing: where it goes.
        workers: processes that a stage may share the unit among, where it can. Cannot change a result.
    """
    stage = find_stage(unit.stage)
    settings_class: type[Settings] = getattr(importlib.import_module(f"igsm_pipeline.{stage.settings_module}"), stage.settings)
    function: Callable[..., None] = getattr(importlib.import_module(f"igsm_pipeline.{stage.module}"), stage.function)
    settings = settings_class.parse({**unit.settings, **unit.runtime}, f"{unit.stage} {unit.name}")
    if stage.workers and workers > 1:
        function(settings, inputs, writing, workers=workers)
    else:
        function(settings, inputs, writing)
