"""The whole pipeline on one screen: one asset per stage, in the order of the data flow, one partition per experiment member.

    data    world -> problem_sets -> token_shards
    model   checkpoint -> generations -> verdicts, registered_model
    mind    control, probe_queries -> activation_cache -> linear_probes, v_probes -> probe_scores, error_correlation
    result  report, catalog

Every asset does the same three things: bring its stage of the member up to date, in a child process; judge it; tell. Faults that may pass
are tried again (``defs.retries``); a refusal ends the run at once.
"""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from igsm_pipeline.defs.graph.checks import check_specs
from igsm_pipeline.defs.graph.partitions import MEMBERS, member_tags
from igsm_pipeline.defs.graph.results import catalogued, materialized, registered
from igsm_pipeline.defs.graph.retries import retried
from igsm_pipeline.defs.tracking.registry import register
from igsm_pipeline.defs.tracking.runs import Tracking, train
from igsm_pipeline.planning.stages import stage_version
from igsm_pipeline.running.stage_runs import run_stage

OWNERS = ["team:igsm"]
if TYPE_CHECKING:
    Result = dg.MaterializeResult[Any]
else:
    Result = dg.MaterializeResult  # Dagster knows the bare class only
Decorator = Callable[[Callable[..., Result]], dg.AssetsDefinition]


def stage_asset(stage: str, group: str, kinds: set[str], deps: Sequence[dg.AssetsDefinition], **more: Any) -> Decorator:
    """The decorator of a stage's asset: what all stages have in common.

    Args:
        stage: the stage's name, and the asset's.
        group: phase of the pipeline.
        kinds: what it is made with, for the UI's icons.
        deps: assets it reads.
        more: passed to ``dagster.asset``.
    """
    described: Decorator = dg.asset(
        name=stage,
        partitions_def=MEMBERS,
        group_name=group,
        kinds=kinds,
        deps=deps,
        owners=OWNERS,
        code_version=str(stage_version(stage)),
        check_specs=check_specs(stage),
        **more,
    )
    return lambda body: described(retried(tagged(body)))


def tagged(body: Callable[..., Result]) -> Callable[..., Result]:
    """Give the run the tags of its member first, which a run that was launched from an asset's page comes without."""

    @functools.wraps(body)
    def told(context: dg.AssetExecutionContext, *resources: Any, **more: Any) -> Result:
        run, tags = context.instance.get_run_by_id(context.op_execution_context.run_id), member_tags(context.partition_key)
        if run is not None and not tags.keys() <= run.tags.keys():
            context.instance.add_run_tags(run.run_id, tags)
        return body(context, *resources, **more)

    return told


@stage_asset("world", "data", {"json"}, [])
def world(context: dg.AssetExecutionContext) -> Result:
    """The vocabulary: four hierarchies of categories, sub-categories and items from which every problem takes its names (the paper's appendix E)."""
    return materialized(run_stage(context.partition_key, "world"))


@stage_asset("problem_sets", "data", {"numba", "parquet"}, [world])
def problem_sets(context: dg.AssetExecutionContext) -> Result:
    """iGSM problems by the paper's law: the training set, one set per evaluation slice, one to train probes on; split by solution template."""
    return materialized(run_stage(context.partition_key, "problem_sets"))


@stage_asset("token_shards", "data", {"parquet", "huggingface"}, [world, problem_sets])
def token_shards(context: dg.AssetExecutionContext) -> Result:
    """The training set as windows of token ids, and the tokenizer that belongs to them."""
    return materialized(run_stage(context.partition_key, "token_shards"))


@stage_asset("checkpoint", "model", {"pytorch", "huggingface"}, [world, problem_sets, token_shards], pool="gpu")
def checkpoint(context: dg.AssetExecutionContext, tracking: Tracking) -> Result:
    """GPT-2 with rotary positions, trained from scratch on fresh problems; fully-correct accuracy per op is watched while it learns."""
    run, links = train(tracking, context.partition_key, {"dagster_run": context.run_id})
    return materialized(run, links)


@stage_asset("generations", "model", {"pytorch", "parquet"}, [world, problem_sets, checkpoint], pool="gpu")
def generations(context: dg.AssetExecutionContext) -> Result:
    """The model's own solutions of the test problems, slice by slice, greedy or by beam."""
    return materialized(run_stage(context.partition_key, "generations"))


@stage_asset("verdicts", "model", {"python", "parquet"}, [world, problem_sets, generations])
def verdicts(context: dg.AssetExecutionContext) -> Result:
    """Every step of every solution verified: correct or the first error, and how much of it was unnecessary (figures 3 and 4)."""
    return materialized(run_stage(context.partition_key, "verdicts"))


@stage_asset("probe_queries", "mind", {"numba", "parquet"}, [world, problem_sets])
def probe_queries(context: dg.AssetExecutionContext) -> Result:
    """What is asked of the model's states: nece, dep, known, value, can_next and nece_next, each with its label and where it is read."""
    return materialized(run_stage(context.partition_key, "probe_queries"))


@stage_asset("control", "mind", {"pytorch", "huggingface"}, [world, checkpoint])
def control(context: dg.AssetExecutionContext) -> Result:
    """The same architecture with fresh random weights, as GPT-2 draws them: what a probe reads there, training has not put there."""
    return materialized(run_stage(context.partition_key, "control"))


@stage_asset("activation_cache", "mind", {"pytorch", "parquet"}, [world, problem_sets, probe_queries, checkpoint, control], pool="gpu")
def activation_cache(context: dg.AssetExecutionContext) -> Result:
    """States of the frozen model where queries and sentences end, per layer, for the trained model and for random weights."""
    return materialized(run_stage(context.partition_key, "activation_cache"))


@stage_asset("linear_probes", "mind", {"pytorch", "parquet"}, [probe_queries, activation_cache], pool="gpu")
def linear_probes(context: dg.AssetExecutionContext) -> Result:
    """A linear probe per task and layer on the cached states: the baseline of V-probing, and the layers of figure 10."""
    return materialized(run_stage(context.partition_key, "linear_probes"))


@stage_asset("v_probes", "mind", {"pytorch", "parquet"}, [world, problem_sets, probe_queries, checkpoint, control], pool="gpu")
def v_probes(context: dg.AssetExecutionContext) -> Result:
    """V-probing: a rank-8 update of the input embedding and a linear head read the model's mind, beside random weights (figures 7 and 12)."""
    return materialized(run_stage(context.partition_key, "v_probes"))


@stage_asset(
    "probe_scores",
    "mind",
    {"pytorch", "parquet"},
    [world, problem_sets, probe_queries, checkpoint, control, activation_cache, linear_probes, v_probes],
    pool="gpu",
)
def probe_scores(context: dg.AssetExecutionContext) -> Result:
    """Every probe on every slice: scores with intervals by problem, beside random weights and the majority guess (figures 7, 10, 12)."""
    return materialized(run_stage(context.partition_key, "probe_scores"))


@stage_asset("error_correlation", "mind", {"python", "parquet"}, [world, problem_sets, generations, verdicts, probe_queries, v_probes])
def error_correlation(context: dg.AssetExecutionContext) -> Result:
    """Do mistakes show in the mind before they show in the text? Wrong steps and unnecessary ones against the probed state (figure 8)."""
    return materialized(run_stage(context.partition_key, "error_correlation"))


@stage_asset("report", "result", {"html", "matplotlib"}, [verdicts, checkpoint, probe_scores, error_correlation])
def report(context: dg.AssetExecutionContext) -> Result:
    """One self-contained page: accuracies, curves, probes, correlation and a worked example, each number with its n and interval."""
    return materialized(run_stage(context.partition_key, "report"))


@dg.asset(partitions_def=MEMBERS, group_name="result", kinds={"duckdb"}, deps=[report], owners=OWNERS, code_version="1")
def catalog(context: dg.AssetExecutionContext) -> Result:
    """Every table of the store as a DuckDB view, over all members: igsm.duckdb, replaced as a whole."""
    return catalogued(context.partition_key)


@dg.asset(partitions_def=MEMBERS, group_name="model", kinds={"mlflow", "huggingface"}, deps=[checkpoint, verdicts], owners=OWNERS, code_version="1")
def registered_model(context: dg.AssetExecutionContext, tracking: Tracking) -> Result:
    """The checkpoint in MLflow's registry; the alias champion goes to it only if its op<=max accuracy is beyond doubt the better one."""
    return registered(register(tracking, context.partition_key))


ASSETS = [
    world, problem_sets, token_shards, checkpoint, generations, verdicts, probe_queries, control, activation_cache, linear_probes, v_probes,
    probe_scores, error_correlation, report, catalog, registered_model,
]  # fmt: skip
