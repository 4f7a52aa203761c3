"""The asset graph: one asset per stage, made from the stages' declarations, one partition per experiment member.

    data    world -> (own_problems ->) problem_sets -> token_shards
    model   checkpoint -> generations -> verdicts, registered_model
    mind    control, probe_queries -> activation_cache -> linear_probes, v_probes -> probe_scores, error_correlation, interchange
    result  llm_evaluations, report, catalog

Every asset does the same: it brings its stage of the member up to date in a child process, checks it, and reports the result. Its arrows are the
stage's declared reads. Faults that may disappear are retried (``defs.graph.retries``); a refusal ends the run at once.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from igsm_pipeline.defs.graph.executors import step_tags
from igsm_pipeline.defs.graph.partitions import MEMBERS, member_tags
from igsm_pipeline.defs.graph.results import catalogued, check_specs, materialized, not_registered, registered
from igsm_pipeline.defs.graph.retries import retried
from igsm_pipeline.defs.tracking.final import send_results
from igsm_pipeline.defs.tracking.registry import register
from igsm_pipeline.defs.tracking.runs import Tracking, train
from igsm_pipeline.planning.flow import STAGES
from igsm_pipeline.running.stage_runs import run_stage
from igsm_pipeline.stage import EVERY_STAGE, Stage

OWNERS = ["team:igsm"]
GROUPS = {
    "data": "made from a law and a seed, before any model: names, problems, texts, token ids",
    "model": "the trained model, what it writes, and what becomes of it",
    "mind": "what the model knows, read from its hidden states by probes, beside the same probes on random weights",
    "result": "what people read: the page with all findings, and the tables for SQL",
}
"""The groups of the graph in plain words; Dagster has no place for them but the descriptions of their assets."""
if TYPE_CHECKING:
    Result = dg.MaterializeResult[Any]
else:
    Result = dg.MaterializeResult  # Dagster knows the bare class only


def stage_asset(stage: Stage, before: Sequence[str]) -> dg.AssetsDefinition:
    """Make the asset of a stage.

    Args:
        stage: declaration of the stage.
        before: names of the stages before it.
    """
    read = [name for name in before if name in stage.sources or EVERY_STAGE in stage.sources]

    def computed(context: dg.AssetExecutionContext) -> Result:
        return materialized(run_stage(context.partition_key, stage.name))

    def trained(context: dg.AssetExecutionContext, tracking: Tracking) -> Result:
        run, links = train(tracking, context.partition_key, {"dagster_run": context.run_id})
        return materialized(run, links)

    def reported(context: dg.AssetExecutionContext, tracking: Tracking) -> Result:
        run = run_stage(context.partition_key, stage.name)
        send_results(tracking, context.partition_key)
        return materialized(run)

    bodies: dict[str, Callable[..., Result]] = {"checkpoint": trained, "report": reported}
    body = bodies.get(stage.name, computed)
    return dg.asset(
        name=stage.name,
        description=described(stage.words, stage.group),
        partitions_def=MEMBERS,
        group_name=stage.group,
        kinds=set(stage.kinds),
        deps=read,
        owners=OWNERS,
        code_version=str(stage.version),
        check_specs=check_specs(stage),
        pool="gpu" if stage.torch else None,
        op_tags=step_tags(stage),
    )(retried(tagged(body)))


def described(words: str, group: str) -> str:
    """An asset's description: what people get from it, and what its group is."""
    return f"{words}\n\nGroup *{group}*: {GROUPS[group]}."


def tagged(body: Callable[..., Result]) -> Callable[..., Result]:
    """Give the run the tags of its member first; a run that was launched from an asset's page has none."""

    @functools.wraps(body)
    def told(context: dg.AssetExecutionContext, *resources: Any, **more: Any) -> Result:
        run, tags = context.instance.get_run_by_id(context.op_execution_context.run_id), member_tags(context.partition_key)
        if run is not None and not tags.keys() <= run.tags.keys():
            context.instance.add_run_tags(run.run_id, tags)
        return body(context, *resources, **more)

    return told


def stage_assets(stages: Iterable[Stage]) -> list[dg.AssetsDefinition]:
    """Make the assets of some stages, given in the order of the data flow."""
    names: list[str] = []
    assets = []
    for stage in stages:
        assets.append(stage_asset(stage, names))
        names.append(stage.name)
    return assets


@dg.asset(
    description=described("Every table of the store as a DuckDB view, over all members: igsm.duckdb, replaced as a whole.", "result"),
    partitions_def=MEMBERS,
    group_name="result",
    kinds={"duckdb"},
    deps=["report"],
    owners=OWNERS,
    code_version="1",
    op_tags=step_tags(None),
)
def catalog(context: dg.AssetExecutionContext) -> Result:
    """See the description."""
    return catalogued(context.partition_key)


@dg.asset(
    description=described(
        "The checkpoint in MLflow's registry. The alias champion moves to it only if its accuracy on op<=max is better beyond doubt.", "model"
    ),
    partitions_def=MEMBERS,
    group_name="model",
    kinds={"mlflow", "huggingface"},
    deps=["checkpoint", "verdicts"],
    owners=OWNERS,
    code_version="1",
    op_tags=step_tags(None),
)
def registered_model(context: dg.AssetExecutionContext, tracking: Tracking) -> Result:
    """See the description."""
    entry = register(tracking, context.partition_key)
    return registered(entry) if entry else not_registered()


ASSETS = [*stage_assets(STAGES.values()), catalog, registered_model]
