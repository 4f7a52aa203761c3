"""Waiting for a pool, such as the one graphics card: a run in this process says what it waits for, and sleeps until the next look.

Dagster 1.13 computes the time to the next look as at most 0, so that its in-process executor asks again without a pause and keeps one core busy.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress

from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

_POOL, PARTITION = "gpu", "dagster/partition"


def wait_quietly() -> None:
    """Let every run of this process sleep while it waits for a pool, and name the run that holds the pool, once per run."""
    told = set[str]()

    def until_next_look(context: InstanceConcurrencyContext) -> float:
        if context.has_pending_claims() and context._run_id not in told:
            told.add(context._run_id)
            with suppress(OSError):  # the terminal is gone
                print(_what_is_waited_for(context), file=sys.stderr)
        looks = context._pending_timeouts.values()
        return max(0.0, min(looks) - time.time()) if looks else 0.0

    InstanceConcurrencyContext.interval_to_next_pending_claim_check = until_next_look  # type: ignore[method-assign, assignment]


def _what_is_waited_for(context: InstanceConcurrencyContext) -> str:
    """Which steps wait, and for whom."""
    storage, steps = context._instance.event_log_storage, ", ".join(sorted(context.pending_claim_steps()))
    holders = []
    for slot in storage.get_concurrency_info(_POOL).claimed_slots:
        run = context._instance.get_run_by_id(slot.run_id)
        holders.append(f"{slot.step_key} of {run.tags.get(PARTITION, 'another run') if run else 'a run that is gone'}")
    return f"{steps} waits: the pool {_POOL} is used by {', '.join(holders) or 'another run'} (`igsm ui` shows it; Ctrl-C stops waiting)"
