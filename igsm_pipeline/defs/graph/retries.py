"""Which failures Dagster retries: faults that may disappear, after ten seconds and then twenty. All others end the run at once.

A bad setting, a full disk or an error of the program would fail again in the same way, and a retry only hides it. A killed child or a lost
connection may not happen again. A run that was stopped by a person is over.

Ours: the asset requests its retries itself. A ``RetryPolicy`` would also retry what was stopped, because inside a run's process Dagster takes an
interrupt for a failure like any other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import dagster as dg

from igsm_pipeline.defs.operating.instance import OWNER_TAG
from igsm_pipeline.errors import TransientFault

RETRIES = dg.RetryPolicy(max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
T = TypeVar("T")


def retried(body: Callable[..., T], policy: dg.RetryPolicy = RETRIES) -> Callable[..., T]:
    """Wrap an asset's body so that Dagster retries it after a ``TransientFault``, and after nothing else.

    Args:
        body: a function that takes Dagster's context first.
        policy: how often to retry, and how long to wait.

    Raises:
        dagster.RetryRequested: instead of a ``TransientFault``, except in the last attempt.
        dagster.Failure: instead of any other error, with its message.
    """

    @functools.wraps(body)
    def attempt(context: dg.AssetExecutionContext, *arguments: Any, **more: Any) -> T:
        try:
            return body(context, *arguments, **more)
        except TransientFault as error:
            number = context.op_execution_context.retry_number
            if number >= policy.max_retries:
                raise dg.Failure(f"{error} (attempt {number + 1})", allow_retries=False) from error
            raise dg.RetryRequested(policy.max_retries, policy.calculate_delay(number + 1)) from error
        except Exception as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt):
            note_stop(context)
            raise

    return attempt


def note_stop(context: dg.AssetExecutionContext) -> None:
    """Tell Dagster that the run is being canceled, if somebody stopped the process of ``igsm run``.

    A run that was launched from the page has been reported by the page. If not, the machine is shutting down, and the daemon may start it again.
    """
    run = context.instance.get_run_by_id(context.op_execution_context.run_id)
    if run is not None and OWNER_TAG in run.tags and run.status != dg.DagsterRunStatus.CANCELING:
        context.instance.report_run_canceling(run, "stopped by a signal")
