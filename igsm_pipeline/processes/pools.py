"""Worker processes that end with the work: waited for if it ends or fails, ended if it is stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from igsm_pipeline.processes.parent import die_with_parent
from igsm_pipeline.processes.stopping import heard_stop, starting_deaf


class _Worker(SpawnProcess):
    """A process that is not in reach of its parent's terminal."""

    def start(self) -> None:
        with starting_deaf():
            super().start()


class _Spawning(SpawnContext):
    """Makes such processes."""

    Process = _Worker


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_pool(workers: int, initializer: Callable[..., object], initargs: tuple[Any, ...] = ()) -> ProcessPoolExecutor:
    """A pool of spawned processes: they inherit no state. Whoever makes it ends it; ``worker_pool`` does so by itself.

    Make it and give it work in a thread that lives as long as the pool: a worker that called ``begin_worker`` ends with that thread.
    """
    with starting_deaf():
        resource_tracker.ensure_running()  # it ignores Ctrl-C by itself, and would end with the terminal
    return ProcessPoolExecutor(workers, mp_context=_Spawning(), initializer=initializer, initargs=initargs)


@contextmanager
def worker_pool(
    workers: int, initializer: Callable[..., object], initargs: tuple[Any, ...] = (), *, patience_s: float = 0.0
) -> Iterator[ProcessPoolExecutor]:
    """A pool of spawned processes for the block.

    If the block ends or fails, work that has begun is waited for, and the rest is dropped. If it is stopped by a signal, the workers get SIGTERM, and
    SIGKILL after ``patience_s`` seconds.

    Args:
        workers: number of processes.
        initializer: called first in each of them.
        initargs: its arguments.
        patience_s: seconds that a stopped worker has to save its state.
    """
    pool = make_pool(workers, initializer, initargs)
    try:
        yield pool
    except BaseException as error:
        if isinstance(error, Exception) and not heard_stop():
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        end_workers(pool, patience_s)
        raise
    pool.shutdown(wait=True, cancel_futures=True)


def end_workers(pool: ProcessPoolExecutor, patience_s: float = 0.0) -> None:
    """Cancel waiting work and end every worker of a pool; after ``patience_s`` seconds by SIGKILL."""
    processes = list((pool._processes or {}).values())  # Python 3.14 has terminate_workers; earlier versions have no public way
    pool.shutdown(wait=False, cancel_futures=True)
    deadline = time.monotonic() + patience_s
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(max(0.05, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
    for process in processes:
        process.join()


def begin_worker() -> None:
    """Set up a worker process: it ends with its parent, and ignores Ctrl-C and a closed terminal, on which the parent sends it SIGTERM."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
