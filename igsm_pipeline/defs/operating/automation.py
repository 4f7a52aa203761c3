"""Jobs, the nightly schedule and the sensors. Schedule and sensors are off until someone turns them on in the UI.

The planner decides what is stale, not Dagster: Dagster's "unsynced" looks back one step only, and not at the disk.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection, Mapping, Sequence

import dagster as dg

from igsm_pipeline.defs.graph.assets import ASSETS
from igsm_pipeline.defs.graph.partitions import MEMBERS, member_tags, reported
from igsm_pipeline.errors import IgsmError
from igsm_pipeline.experiments import load_members
from igsm_pipeline.experiments.experiment import Broken
from igsm_pipeline.planning.flow import declared_text
from igsm_pipeline.planning.planner import Plan
from igsm_pipeline.planning.planner import plan as plan_member
from igsm_pipeline.settings import hash_json
from igsm_pipeline.store import Store, find_home, write_atomically

UI_URL = "IGSM_UI_URL"
_LOG = logging.getLogger(__name__)
AFTER_EVERY_STAGE = ("catalog", "registered_model")
_UNDER_WAY = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


@dg.static_partitioned_config(partition_keys=MEMBERS.get_partition_keys(), tags_for_partition_key_fn=member_tags)
def member_config(_member: str) -> dict[str, object]:
    """An empty run config: the settings of a member are in its file. The tags give the Runs page its filters."""
    return {}


everything = dg.define_asset_job(
    "everything",
    selection=dg.AssetSelection.assets(*ASSETS),
    config=member_config,
    description="All stages of one member; what is fresh costs nothing.",
)
data_only = dg.define_asset_job(
    "data_only", selection=dg.AssetSelection.groups("data"), config=member_config, description="World, problem sets and token shards of one member."
)


@dg.schedule(
    job=everything,
    cron_schedule="0 3 * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="At three every night: computes what has become stale in members that have a report. It never starts one that nobody has run.",
)
def nightly_refresh(context: dg.ScheduleEvaluationContext) -> Sequence[dg.RunRequest] | dg.SkipReason:
    """Every night, run what has become stale in the members that have a report (never a member that nobody has run)."""
    requests = [request_of(plan) for plan in stale_plans(context.instance, _run_before(context.instance))]
    return requests or dg.SkipReason("every member that was reported on is fresh, archived or under way")


@dg.sensor(
    job=everything,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Within a minute: computes what has become stale in members that have a report, and all of members whose file is new. "
    "A run that failed is not tried again until something else becomes stale.",
)
def stale_members(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Within a minute, run what has become stale in members that have a report, and all of members that are new since the sensor's first look.

    The cursor has every member seen, and the units that were stale when its last run was requested. So a failed run is not requested again until
    something else becomes stale.
    """
    members, partitions = load_members({}), set(MEMBERS.get_partition_keys())
    seen: dict[str, list[str]] = json.loads(context.cursor) if context.cursor else {member: [] for member in members}
    wanted = _run_before(context.instance) | (members.keys() - seen.keys()) | {member for member, asked in seen.items() if asked}
    plans, requests = stale_plans(context.instance, wanted & partitions), []
    for plan in plans:
        stale = [unit.fingerprint for unit in plan.stale]
        if not set(stale) <= set(seen.get(plan.member.key, ())):
            requests.append(request_of(plan))
            seen[plan.member.key] = stale
    waiting = {plan.member.key for plan in plans} | under_way(context.instance) | (members.keys() - partitions)
    seen |= {member: [] for member in members if member not in waiting}
    skipped = None if requests else f"nothing new is stale of {len(wanted)} members; {len(plans)} stay stale after a run: see why it failed"
    return dg.SensorResult(run_requests=requests, skip_reason=skipped, cursor=json.dumps(seen))


def _run_before(instance: dg.DagsterInstance) -> set[str]:
    """Members that have a report, in the store (computed by whatever route, imported or pulled) or by Dagster's events (it may have been deleted)."""
    return reported() | set(instance.get_materialized_partitions(dg.AssetKey("report")))


def stale_plans(instance: dg.DagsterInstance, wanted: Collection[str]) -> list[Plan]:
    """The plans of members with something to compute, except archived members and those with a run in progress.

    Args:
        instance: knows which runs are in progress.
        wanted: members to look at.
    """
    busy, store, plans = under_way(instance), Store.at_home(), []
    for key, member in load_members({}).items():
        if key not in wanted or key in busy or member.archived:
            continue
        try:
            plans.append(plan_member(member, store))
        except IgsmError as error:  # it names a file that is gone; other members are not affected
            _LOG.warning("%s cannot be planned: %s", key, error)
    return [plan for plan in plans if plan.stale]


def request_of(plan: Plan) -> dg.RunRequest:
    """A run of a plan's stale stages, and of the assets that follow every stage."""
    key = plan.member.key
    assets = [dg.AssetKey(name) for name in (*plan.stale_stages, *AFTER_EVERY_STAGE)]
    return dg.RunRequest(partition_key=key, asset_selection=assets, tags=member_tags(key))


def under_way(instance: dg.DagsterInstance) -> set[str]:
    """Members with a run that is queued, starting or running."""
    return {run.tags.get("dagster/partition", "") for run in instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY))}


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Watches the experiment files: when one appears, changes or goes, the graph is loaded anew, and new members become partitions. "
    "It starts no run.",
)
def experiment_files(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """When an experiment file appears, changes or disappears, or a stage's VERSION changes, reload the code location: new members become partitions.

    The webserver is told to reload; the daemon that runs this restarts its code server every minute by itself.
    """
    broken: Broken = {}
    loaded = hash_json([[member.key, member.settings.model_dump(mode="json")] for member in load_members(broken).values()] + [declared_text()])
    words = "; ".join(f"left out: {error}" for error in broken.values())
    if context.cursor == loaded or (context.cursor is None and set(load_members({})) == set(MEMBERS.get_partition_keys())):
        context.update_cursor(loaded)
        return dg.SkipReason(f"{len(MEMBERS.get_partition_keys())} members, none changed. {words}".strip())
    reload_location(os.environ.get(UI_URL, "http://127.0.0.1:3000"))
    context.update_cursor(loaded)
    return dg.SkipReason(f"experiment files changed: code location reloaded. {words}".strip())


def reload_location(url: str) -> None:
    """Let a webserver load the asset graph again.

    Raises:
        RuntimeError: no webserver answers, or it refuses; the message says why.
    """
    from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError, ReloadRepositoryLocationStatus  # noqa: PLC0415

    host, _, port = url.removeprefix("http://").partition(":")
    try:
        result = DagsterGraphQLClient(host, port_number=int(port or 80)).reload_repository_location("igsm_pipeline")
    except (DagsterGraphQLClientError, OSError) as error:
        raise RuntimeError(f"no webserver answers at {url} ({error}); start it with `igsm ui`") from error
    if result.status != ReloadRepositoryLocationStatus.SUCCESS:
        raise RuntimeError(f"the webserver at {url} did not reload: {result.failure_type}: {result.message}")


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="When a run fails: writes a file into failures/ of the data root that says what failed, why, and the command that resumes it.",
)
def write_failures(context: dg.RunFailureSensorContext) -> None:
    """Write ``<data root>/failures/RUN.txt``: what failed, why, and the command that resumes it."""
    folder = find_home() / "failures"
    folder.mkdir(parents=True, exist_ok=True)
    steps = {event.step_key or "?": first_cause(event) for event in context.get_step_failure_events()}
    run = context.dagster_run
    text = failure_text(run.tags.get("dagster/partition", "?"), run.run_id, steps, context.failure_event.message or "no message")
    write_atomically(folder / f"{run.run_id}.txt", text.encode())


def first_cause(event: dg.DagsterEvent) -> str:
    """The message of the innermost error of a failed step or run."""
    error = event.step_failure_data.error if event.is_step_failure else event.job_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return " ".join(error.message.split()) if error is not None else "no message"


def failure_text(member: str, run_id: str, steps: Mapping[str, str], message: str) -> str:
    """What failed, why, and how to go on. A run that died before or between its steps has only its own message."""
    why = "\n".join(f"{step}: {cause}" for step, cause in steps.items()) or message
    failed = ", ".join(steps) or "between its steps"
    return f"run {run_id} of {member} failed in: {failed}\n{why}\nWhat it had finished is kept. To resume:\n\n    igsm run {member}\n"


JOBS = [everything, data_only]
SCHEDULES = [nightly_refresh]
SENSORS = [stale_members, experiment_files, write_failures]
