"""Which failures Dagster tries again: those that may pass, after ten seconds and then twenty; all others end the run at once.

A bad setting, a full disk or an error of the program fails in the same way again, so that a retry only hides it; a killed child or a lost
connection is nobody's fault. A run that somebody stops is over.

Ours: the asset asks for its retries itself. A ``RetryPolicy`` on it would try again what was stopped, too (in the process of the run Dagster takes an
interrupt for a failure like any other).
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
    """An asset's body that Dagster tries again after a ``TransientFault`` and after nothing else.

    Args:
        body: takes Dagster's context first.
        policy: how often, and how long Dagster waits.

    Raises:
        dagster.RetryRequested: in the place of a ``TransientFault``, unless it was the last attempt.
        dagster.Failure: in the place of any other error, with its message.
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
    """Tell Dagster that the run is being canceled, where somebody stopped the process of ``igsm run``.

    For a run that the page launched the page has said so. If it has not, the machine is going down, and the daemon may start the run again.
    """
    run = context.instance.get_run_by_id(context.op_execution_context.run_id)
    if run is not None and OWNER_TAG in run.tags and run.status != dg.DagsterRunStatus.CANCELING:
        context.instance.report_run_canceling(run, "stopped by a signal")
