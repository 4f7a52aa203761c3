"""Dagster tries again what may pass, and only that."""

import dagster as dg
import pytest

from igsm_pipeline.defs.graph.assets import ASSETS
from igsm_pipeline.defs.graph.retries import RETRIES, no_retry_but_for_transient_faults
from igsm_pipeline.errors import BadSettings, StageFailed, TransientFault
from igsm_pipeline.planning.flow import STAGES
from igsm_pipeline.running import stage_runs
from igsm_pipeline.running.child import stage_command
from igsm_pipeline.running.runner import JOBS

AT_ONCE = dg.RetryPolicy(max_retries=RETRIES.max_retries)


def attempts_of(error: Exception) -> tuple[int, dg.ExecuteInProcessResult]:
    """How often Dagster runs an asset that always raises this."""
    tries = []

    @dg.asset(retry_policy=AT_ONCE)
    @no_retry_but_for_transient_faults()
    def failing() -> None:
        tries.append(1)
        raise error

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
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_a_fault_that_may_pass_is_tried_again(error, attempts):
    assert attempts_of(error)[0] == attempts


def test_every_stage_waits_longer_before_each_retry():
    for asset in ASSETS:
        if asset.key.to_user_string() in STAGES:
            policy = asset.op.retry_policy
            assert (policy.max_retries, policy.delay, policy.backoff) == (2, 10, dg.Backoff.EXPONENTIAL)


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
    assert stage_command("mini", "world")[-7:] == ["igsm_pipeline.running", "run", "mini", "--stage", "world", "--jobs", "3"]
    monkeypatch.delenv(JOBS)
    assert stage_command("mini", "world")[-1] == "0", "all cores unless told otherwise"
