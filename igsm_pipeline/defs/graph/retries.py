"""Which failures Dagster tries again: those that may pass, after ten seconds and then twenty; all others end the run at once.

A bad setting, a full disk or an error of the program fails in the same way again, so that a retry only hides it; a killed child or a lost
connection is nobody's fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from igsm_pipeline.errors import TransientFault

RETRIES = dg.RetryPolicy(max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


@contextmanager
def no_retry_but_for_transient_faults() -> Iterator[None]:
    """Let a ``TransientFault`` pass, which ``RETRIES`` tries again; turn every other error into one that Dagster does not.

    Raises:
        dagster.Failure: in the place of any other error, with its message.
    """
    try:
        yield
    except TransientFault:
        raise
    except Exception as error:
        raise dg.Failure(str(error), allow_retries=False) from error
