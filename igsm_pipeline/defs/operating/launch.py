"""Runs members from a terminal, here or on a Ray cluster, with the assets, instance and history of the UI, and one line of text per stage."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
from dagster._utils.interrupts import capture_interrupts

from igsm_pipeline.defs.graph.executors import RAY_ADDRESS
from igsm_pipeline.defs.graph.partitions import member_tags
from igsm_pipeline.defs.operating.automation import everything, first_cause
from igsm_pipeline.defs.operating.instance import enter_home, open_instance, owned_runs
from igsm_pipeline.defs.operating.location import LOCATION
from igsm_pipeline.defs.operating.waiting import wait_quietly
from igsm_pipeline.errors import IgsmError, StageFailed
from igsm_pipeline.experiments import Member, find_members
from igsm_pipeline.planning.planner import needed_stages
from igsm_pipeline.processes.stopping import Stopped, heard_stop, stop_code, with_patience
from igsm_pipeline.running.child import SHOWS_PROGRESS
from igsm_pipeline.running.runner import unfinished
from igsm_pipeline.running.stage_runs import stage_line
from igsm_pipeline.store import Store

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_PARTITION = "dagster/partition"
"""Dagster's tag of the partition that a run is for."""
CLUSTER_PATIENCE_S = 30.0
"""Seconds from a stop until this process is ended though its jobs on a cluster, or their records, have not."""
_LOOK_S = 2.0
"""Seconds between two looks at what a cluster has finished."""


def run_members(members: Sequence[str], stages: Sequence[str] | None = None, *, on_ray: bool = False) -> int:
    """Bring members up to date, one after the other.

    Args:
        members: keys of members, or names of experiments for all their members.
        stages: only these assets, and earlier ones that have something to compute for them; None for all.
        on_ray: each step is a job of the Ray cluster that ``IGSM_RAY_ADDRESS`` names (``check_cluster`` has found it), instead of in this process.

    Returns:
        The exit code: 0 done, 1 a stage failed or a blocking check did not pass, 2 refused, 130 / 143 / 129 stopped by SIGINT / SIGTERM / SIGHUP.
    """
    quiet_dagster()
    wait_quietly()
    if sys.stderr.isatty() and os.environ.get("TQDM_DISABLE") != "1":
        os.environ[SHOWS_PROGRESS] = "1"
    try:
        if on_ray:
            print(f"steps are jobs of the Ray cluster at {os.environ[RAY_ADDRESS]}", file=sys.stderr)
        home = enter_home()
        found = find_members(list(members))
        instance = open_instance()
    except IgsmError as error:
        print(error, file=sys.stderr)
        return 2
    failed = []
    with instance, owned_runs(home) as owner, with_patience(CLUSTER_PATIENCE_S) if on_ray else contextlib.nullcontext():
        for member in found:
            try:
                with unfinished(member, Store(home / "store")):
                    _run(member, stages, instance, owner, on_ray=on_ray)
            except StageFailed:
                failed.append(member.key)
            except KeyboardInterrupt:
                _cancel(instance, owner)
                return _say_stopped([one.key for one in found[found.index(member) :]], stages)
    if failed:
        print(f"failed: {', '.join(failed)}; to resume: igsm run {' '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def job_of_everything() -> dg.JobDefinition:
    """The job ``everything``; a step on another machine finds it by this function's name."""
    return LOCATION.resolve_job_def(everything.name)


def _run(member: Member, stages: Sequence[str] | None, instance: dg.DagsterInstance, owner: Mapping[str, str], *, on_ray: bool) -> None:
    """Run a member and print what fails; raises StageFailed if anything did."""
    selected = [dg.AssetKey(stage) for stage in needed_stages(member, Store.at_home(), stages) or ()] or None
    tags = {**member_tags(member.key), **owner}
    result: dg.ExecuteInProcessResult | dg.JobExecutionResult
    if on_ray:
        tags[_PARTITION] = member.key
        with _told(member, instance, owner), capture_interrupts():  # Dagster ends the cluster's jobs when it captures a signal
            result = dg.execute_job(
                dg.reconstructable(job_of_everything), instance, _QUIET, tags=tags, asset_selection=selected, raise_on_error=False
            )
    else:
        result = job_of_everything().execute_in_process(
            run_config=_QUIET, instance=instance, partition_key=member.key, asset_selection=selected, raise_on_error=False, tags=tags
        )
    if heard_stop() or any(event.is_step_failure and was_interrupted(event) for event in result.all_events):
        raise Stopped(heard_stop() or signal.SIGINT)
    failures = [event for event in result.all_events if event.is_step_failure] or [event for event in result.all_events if event.is_failure]
    for event in failures:
        print(f"{member.key}  {event.step_key or 'between its steps'}  FAILED: {first_cause(event)}", file=sys.stderr)
    for evaluation in result.get_asset_check_evaluations():
        if not evaluation.passed:
            word = "FAILED" if evaluation.blocking else "warning"
            print(
                f"{member.key}  {evaluation.asset_key.to_user_string()}  check {evaluation.check_name} {word}: {evaluation.description}",
                file=sys.stderr,
            )
    if not result.success:
        raise StageFailed(f"{member.key} did not come to its end; see the lines above")


@contextlib.contextmanager
def _told(member: Member, instance: dg.DagsterInstance, owner: Mapping[str, str]) -> Iterator[None]:
    """While the block runs a member elsewhere, print a line for each of its stages that is finished."""
    done, told = threading.Event(), set()

    def look() -> None:
        for run in instance.get_runs(dg.RunsFilter(tags={**member_tags(member.key), **owner}), limit=1):
            for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
                event = entry.get_dagster_event()
                said = event.step_materialization_data.materialization.metadata
                seconds = said["seconds"].value if "seconds" in said else None  # the catalog and the registry tell none
                if event.step_key not in told and isinstance(seconds, int | float):
                    told.add(event.step_key)
                    state = "fresh" if said["cache"].value == "hit" else "computed"
                    print(stage_line(member.key, str(event.step_key), state, seconds), file=sys.stderr, flush=True)

    def keep_looking() -> None:
        while not done.wait(_LOOK_S):
            look()
        look()

    thread = threading.Thread(target=keep_looking, daemon=True, name="told")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _cancel(instance: dg.DagsterInstance, owner: Mapping[str, str]) -> None:
    """Record the last run of this process as canceled, wherever in Dagster's own code the signal found it."""
    for run in instance.get_runs(dg.RunsFilter(tags=dict(owner)), limit=1):
        if run.status not in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED):
            instance.report_run_canceled(run, "stopped by a signal")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _say_stopped(members: Sequence[str], stages: Sequence[str] | None) -> int:
    number = heard_stop() or signal.SIGINT
    again = shlex.join(["igsm", "run", *members, *(word for stage in stages or () for word in ("--stage", stage))])
    with contextlib.suppress(OSError):  # the terminal is gone
        print(f"\nstopped by {signal.Signals(number).name}; what was done is kept. To resume: {again}", file=sys.stderr)
    return stop_code(number)


def was_interrupted(event: dg.DagsterEvent) -> bool:
    """Whether a step failed because someone stopped it (Ctrl-C), which Dagster reports like any failure."""
    error = event.step_failure_data.error
    return error is not None and error.cls_name == dg.DagsterExecutionInterruptedError.__name__


def quiet_dagster() -> None:
    """Keep Dagster's messages off the terminal; the run's log still has everything."""
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="dagster")
