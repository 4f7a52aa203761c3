"""Starts the other processes of a training on one machine: one per GPU, or one per core for small models on a CPU.

The process that holds the unit is the first; the others run ``training.other_rank`` and read their work from standard input. Each trains on its part
of every batch; only the first writes. ``torch.distributed.run`` is not needed, and would make every process wait for the unit's lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from igsm_pipeline.errors import BadSettings
from igsm_pipeline.processes.pools import usable_cores
from igsm_pipeline.processes.stopping import STOPS
from igsm_pipeline.training.settings import CheckpointSettings, TrainingSettings

PATIENCE_S = 300.0
"""Seconds that the other processes may take to end after the first one has ended."""
WATCHED_S, GRACE_S = 1.0, 60.0
"""Seconds between two looks at the other processes; seconds that the first has to notice that one of them failed."""
LOST = 75
"""Exit code of a first process that lost another: it may be started again (``running.faults``)."""


def num_processes(settings: TrainingSettings) -> int:
    """How many processes train together: the number that is set, or, if it is 0, one per GPU that this process sees and the settings allow.

    Every process has a window of each batch at least.
    """
    if settings.processes or settings.device not in ("auto", "cuda"):
        return settings.processes or 1
    return max(1, min(torch.cuda.device_count(), settings.batch_windows))


@contextlib.contextmanager
def joined_by_others(settings: CheckpointSettings, inputs: Mapping[str, Path], folder: Path) -> Iterator[None]:
    """Run ``training.processes`` processes while the block runs: this one, and others that do the same work.

    The cores are divided between them. If the block fails, the others are killed; nothing is lost, since they write no files. If one of the others
    fails while the block runs, the first might wait for it for hours: it has ``GRACE_S`` to notice, and is ended then; its last state is kept.

    Args:
        settings: settings of the checkpoint.
        inputs: inputs of the checkpoint.
        folder: the first process writes here, and all read training states from here.

    Raises:
        BadSettings: there are fewer GPUs than processes that each need one.
    """
    size = num_processes(settings.training)
    if size == 1 or "WORLD_SIZE" in os.environ:
        yield
        return
    cards = torch.cuda.device_count() if settings.training.device in ("auto", "cuda") else 0
    if 0 < cards < size:
        raise BadSettings("training.processes", f"must be at most {cards}, the GPUs that this process sees", size, "use 0, which takes them all")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    threads = max(1, usable_cores() // size)
    group = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    work = {"settings": {**settings.canonical(), **settings.runtime()}, "inputs": {role: str(path) for role, path in inputs.items()}}
    others: list[subprocess.Popen[bytes]] = []
    before, own_threads, ended = dict(os.environ), torch.get_num_threads(), threading.Event()
    watch = threading.Thread(target=_watch, args=(others, ended), name="other ranks", daemon=True)
    try:
        for rank in range(1, size):
            environment = {**before, **group, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": str(threads)}
            command = [sys.executable, "-m", "igsm_pipeline.training.other_rank"]
            child = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, preexec_fn=_leave_stops_to_first)  # noqa: PLW1509  (system calls)
            others.append(child)
            assert child.stdin is not None
            child.stdin.write(json.dumps({**work, "folder": str(folder)}).encode())
            child.stdin.close()
        os.environ.update({**group, "RANK": "0", "LOCAL_RANK": "0"})
        torch.set_num_threads(threads)
        watch.start()
        yield
        ended.set()
        for child in others:
            child.wait(timeout=PATIENCE_S)
    finally:
        ended.set()
        if watch.is_alive():
            watch.join()
        for child in others:
            child.kill()
            child.wait()
        for name in (*group, "RANK", "LOCAL_RANK"):
            os.environ.pop(name, None)
        os.environ.update(before)
        torch.set_num_threads(own_threads)


def _watch(others: Sequence[subprocess.Popen[bytes]], ended: threading.Event) -> None:
    """In a thread: if one of the others fails while the first still trains, say which one; if the first does not notice, end it, and all others."""
    while not ended.wait(WATCHED_S):
        failed = [(rank, child.returncode) for rank, child in enumerate(others, start=1) if child.poll()]
        if not failed:
            continue
        rank, status = failed[0]
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        print(
            f"process {rank} of the {len(others) + 1} that train together {how}; the training ends, its last state is kept",
            file=sys.stderr,
            flush=True,
        )
        if not ended.wait(GRACE_S):
            for child in others:
                child.kill()
            os._exit(LOST)
        return


def _leave_stops_to_first() -> None:
    """Ignore signals that reach every process of a terminal: the first process hears them and tells the others after the step."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
