"""Jobs, the nightly schedule and the sensors; all but the jobs are off until someone turns them on in the UI.

The planner says what is stale, never Dagster: its own "unsynced" looks one step back and not at the disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import dagster as dg

from igsm_pipeline.defs.assets import ASSETS
from igsm_pipeline.defs.partitions import MEMBERS, member_tags
from igsm_pipeline.experiments import Member, load_members
from igsm_pipeline.experiments.experiment import experiment_folders
from igsm_pipeline.experiments.planner import plan
from igsm_pipeline.settings import hash_json
from igsm_pipeline.store import Store, find_home, write_atomically

UI_URL = "IGSM_UI_URL"
AFTER_EVERY_STAGE = ("catalog", "registered_model")
_UNDER_WAY = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


@dg.static_partitioned_config(partition_keys=MEMBERS.get_partition_keys(), tags_for_partition_key_fn=member_tags)
def member_config(_member: str) -> dict[str, object]:
    """No run config: what a member is stands in its file. The tags give the Runs page its filters."""
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


@dg.schedule(job=everything, cron_schedule="0 3 * * *", default_status=dg.DefaultScheduleStatus.STOPPED)
def nightly_refresh(context: dg.ScheduleEvaluationContext) -> Sequence[dg.RunRequest] | dg.SkipReason:
    """Every night, whatever has become stale of the members that were reported on before (never of one that nobody has run)."""
    requests = list(stale_requests(context.instance, list(load_members().values())))
    return requests or dg.SkipReason("every member that was reported on is fresh, archived or under way")


def stale_requests(instance: dg.DagsterInstance, members: Sequence[Member]) -> Iterator[dg.RunRequest]:
    """A run for every member with something to refresh.

    Args:
        instance: knows which members were reported on and which are under way.
        members: those to look at.
    """
    reported, store = instance.get_materialized_partitions(dg.AssetKey("report")), Store.at_home()
    for member in members:
        if member.archived or member.key not in reported:
            continue
        stages = plan(member, store).stale_stages
        if stages and not instance.get_runs(dg.RunsFilter(tags={"dagster/partition": member.key}, statuses=_UNDER_WAY), limit=1):
            keys = [dg.AssetKey(name) for name in (*stages, *AFTER_EVERY_STAGE)]
            yield dg.RunRequest(partition_key=member.key, asset_selection=keys, tags=member_tags(member.key))


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.STOPPED)
def experiment_files(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """When an experiment file appears, changes or goes, reload the code location, so that its members become partitions."""
    found = [path for folder in experiment_folders() for path in sorted(folder.glob("*.y*ml"))]
    seen = hash_json([[str(path), path.stat().st_mtime_ns, path.stat().st_size] for path in found])
    if context.cursor in (None, seen):
        context.update_cursor(seen)
        return dg.SkipReason(f"{len(found)} experiment files, none changed")
    reload_location(os.environ.get(UI_URL, "http://127.0.0.1:3000"))
    context.update_cursor(seen)
    return dg.SkipReason("experiment files changed: code location reloaded")


def reload_location(url: str) -> None:
    """Have a webserver read the asset graph again.

    Raises:
        RuntimeError: it refuses; the message says why.
    """
    from dagster_graphql import DagsterGraphQLClient, ReloadRepositoryLocationStatus  # noqa: PLC0415

    host, _, port = url.removeprefix("http://").partition(":")
    result = DagsterGraphQLClient(host, port_number=int(port or 80)).reload_repository_location("igsm_pipeline")
    if result.status != ReloadRepositoryLocationStatus.SUCCESS:
        raise RuntimeError(f"the webserver at {url} did not reload: {result.failure_type}: {result.message}")


@dg.run_failure_sensor(default_status=dg.DefaultSensorStatus.STOPPED)
def write_failures(context: dg.RunFailureSensorContext) -> None:
    """Write what failed and the command that resumes it to ``<data root>/failures/RUN.txt``."""
    folder = find_home() / "failures"
    folder.mkdir(parents=True, exist_ok=True)
    steps = [event.step_key or "?" for event in context.get_step_failure_events()]
    text = failure_text(
        context.dagster_run.tags.get("dagster/partition", "?"), context.dagster_run.run_id, steps, context.failure_event.message or ""
    )
    write_atomically(folder / f"{context.dagster_run.run_id}.txt", text.encode())


def failure_text(member: str, run_id: str, steps: Sequence[str], message: str) -> str:
    """What failed, in words, and how to go on."""
    failed = ", ".join(steps) or "before its first step"
    return f"run {run_id} of {member} failed in: {failed}\n{message}\nWhat it had finished is kept. To resume:\n\n    igsm run {member}\n"


JOBS = [everything, data_only]
SCHEDULES = [nightly_refresh]
SENSORS = [experiment_files, write_failures]
