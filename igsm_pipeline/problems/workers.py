"""Files written by several processes at once: who writes which does not matter, and nobody outlives the process that asked.

Ours: workers ignore Ctrl-C (the parent hears it, and ends them) and end when the parent does, however it ends; a file is written under the name of
its process and renamed when whole, so a worker that was killed leaves nothing that counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from igsm_pipeline.errors import TransientFault
from igsm_pipeline.processes.pools import begin_worker, worker_pool

T = TypeVar("T")
R = TypeVar("R")


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


def map_in_order(work: Callable[[T], R], items: Iterable[T], workers: int, begin: Callable[..., None], arguments: tuple[Any, ...]) -> Iterator[R]:
    """Call ``work`` on every item in other processes; yields what it returns, in order, with a few items at a time in memory.

    Args:
        work: picklable.
        items: asked for as processes become free.
        workers: processes.
        begin: called once in each process before all work.
        arguments: of ``begin``.

    Raises:
        TransientFault: a worker was killed.
    """
    pending: deque[Future[R]] = deque()
    try:
        with worker_pool(workers, _begin_with, (begin, arguments)) as pool:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) > 3 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
    except BrokenProcessPool:
        raise TransientFault("a worker process was killed (out of memory?); run again, or with --jobs 1") from None


def _begin_with(begin: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    begin_worker()
    begin(*arguments)
