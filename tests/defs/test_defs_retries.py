"""Dagster tries again what may pass, and only that."""

import dagster as dg
import pytest

from igsm_pipeline.defs.graph.assets import ASSETS
from igsm_pipeline.defs.graph.retries import RETRIES, retried
from igsm_pipeline.defs.operating.instance import OWNER_TAG
from igsm_pipeline.errors import BadSettings, StageFailed, TransientFault
from igsm_pipeline.planning.flow import STAGES
from igsm_pipeline.running import stage_runs
from igsm_pipeline.running.child import stage_command
from igsm_pipeline.running.runner import JOBS

AT_ONCE = dg.RetryPolicy(max_retries=RETRIES.max_retries)


def attempts_of(error: BaseException) -> tuple[int, dg.ExecuteInProcessResult]:
    """How often Dagster runs an asset that always raises this."""
    tries = []

    def failing(context: dg.AssetExecutionContext) -> None:
        tries.append(1)
        raise error

    failing = dg.asset(retried(failing, AT_ONCE))
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([failing], instance=instance, raise_on_error=False)
    assert not result.success
    return len(tries), result


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (TransientFault("`run mini` was killed by SIGKILL: no message"), 3),
        (StageFailed("training diverged"), 1),
        (BadSettings("model.heads", "must be at least 1", 0, "correct it"), 1),
        (ValueError("a bug"), 1),
        (KeyboardInterrupt(), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_a_fault_that_may_pass_is_tried_again(error, attempts):
    assert attempts_of(error)[0] == attempts


def test_a_stopped_run_of_the_terminal_is_canceled_in_dagsters_records_and_one_that_fails_is_not():
    def interrupted(context: dg.AssetExecutionContext) -> None:
        raise KeyboardInterrupt

    for owner, status in (({OWNER_TAG: "abc"}, "CANCELED"), ({}, "FAILURE")):
        with dg.DagsterInstance.ephemeral() as instance:
            result = dg.materialize([dg.asset(retried(interrupted), name="stage")], instance=instance, raise_on_error=False, tags=owner)
            assert instance.get_run_by_id(result.run_id).status.value == status


def test_no_stage_has_a_policy_of_dagsters_own_which_would_retry_what_was_stopped():
    assert [asset.op.retry_policy for asset in ASSETS if asset.key.to_user_string() in STAGES] == [None] * len(STAGES)
    assert (RETRIES.max_retries, RETRIES.delay, RETRIES.backoff) == (2, 10, dg.Backoff.EXPONENTIAL), "ours waits longer before each retry"


def test_a_refused_stage_fails_its_run_once_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    calls = []

    def refuse(member: str, stage: str) -> list[str]:
        calls.append(stage)
        return ["/bin/sh", "-c", "echo 'model.heads must be at least 1, got 0' >&2; exit 2"]

    monkeypatch.setattr(stage_runs, "stage_command", refuse)
    world = next(asset for asset in ASSETS if asset.key.to_user_string() == "world")
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([world], partition_key="mini", instance=instance, raise_on_error=False)
    assert calls == ["world"]
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert "model.heads must be at least 1, got 0" in event.step_failure_data.error.message


def test_what_is_launched_goes_through_one_command(monkeypatch):
    monkeypatch.setenv(JOBS, "3")
    assert stage_command("mini", "world")[-9:] == ["igsm_pipeline.running", "run", "mini", "--stage", "world", "--jobs", "3", "--checks", "note"]
    monkeypatch.delenv(JOBS)
    assert stage_command("mini", "world")[-3] == "0", "all cores unless told otherwise"
