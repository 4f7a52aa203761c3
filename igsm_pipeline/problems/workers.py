"""Files written by several processes at once: who writes which does not matter, and nobody outlives the process that asked.

Ours: workers ignore Ctrl-C (the parent hears it, and ends them) and end when the parent does, however it ends; a file is written under the name of
its process and renamed when whole, so a worker that was killed leaves nothing that counts.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

from igsm_pipeline.errors import TransientFault
from igsm_pipeline.processes.pools import leave_stops_to_parent, worker_pool


def write_files(write: Callable[[int], int], numbers: Sequence[int], workers: int) -> Iterator[int]:
    """Call ``write`` on every number, in this process or in up to ``workers`` others; yields what it returns, in order.

    Args:
        write: writes the file of a number; picklable where there are several workers.
        numbers: the files.
        workers: processes; 1 means this one.

    Raises:
        TransientFault: a worker was killed.
    """
    workers = min(workers, len(numbers))
    if workers <= 1:
        yield from map(write, numbers)
        return
    try:
        with worker_pool(workers, begin_worker) as pool:
            yield from pool.map(write, numbers)
    except BrokenProcessPool:
        raise TransientFault("a worker process was killed (out of memory?); what is written is kept: run again, or with workers 1") from None


def begin_worker() -> None:
    """Let a worker leave Ctrl-C to its parent and end when the parent does."""
    leave_stops_to_parent()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
