"""Several training processes on one machine, started by the one that holds the unit: one per GPU, or one per core for small models on a CPU.

``training.other_rank`` is the program of the others; it reads what to do from standard input. All train on their part of every
batch; only the first one writes. ``torch.distributed.run`` is not needed, and would have every process wait for the unit's lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from igsm_pipeline.processes.stopping import STOPS
from igsm_pipeline.training.settings import CheckpointSettings, TrainingSettings

PATIENCE_S = 300.0
"""How long the others may take to end after the first has."""


def num_processes(settings: TrainingSettings) -> int:
    """Processes that train together: as set, or with 0 one per GPU."""
    return settings.processes or max(1, torch.cuda.device_count())


@contextlib.contextmanager
def joined_by_others(settings: CheckpointSettings, inputs: Mapping[str, Path], folder: Path) -> Iterator[None]:
    """Make this process the first of ``training.processes`` while the block runs; the others do the same work in their own processes.

    Cores are shared out among them. When the block fails the others are killed, which loses nothing: they write no files.

    Args:
        settings: of the checkpoint.
        inputs: of the checkpoint.
        folder: where the first process writes, and all read training states from.
    """
    size = num_processes(settings.training)
    if size == 1 or "WORLD_SIZE" in os.environ:
        yield
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    threads = max(1, (os.cpu_count() or 1) // size)
    group = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    work = {"settings": {**settings.canonical(), **settings.runtime()}, "inputs": {role: str(path) for role, path in inputs.items()}}
    others = []
    for rank in range(1, size):
        environment = {**os.environ, **group, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, "-m", "igsm_pipeline.training.other_rank"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, preexec_fn=_leave_stops_to_first)  # noqa: PLW1509  (system calls)
        others.append(child)
        assert child.stdin is not None
        child.stdin.write(json.dumps({**work, "folder": str(folder)}).encode())
        child.stdin.close()
    before, own_threads = dict(os.environ), torch.get_num_threads()
    os.environ.update({**group, "RANK": "0", "LOCAL_RANK": "0"})
    torch.set_num_threads(threads)
    try:
        yield
        for child in others:
            child.wait(timeout=PATIENCE_S)
    finally:
        for child in others:
            child.kill()
            child.wait()
        for name in (*group, "RANK", "LOCAL_RANK"):
            os.environ.pop(name, None)
        os.environ.update(before)
        torch.set_num_threads(own_threads)


def _leave_stops_to_first() -> None:
    """What reaches every process of a terminal is ignored: the first process hears it and tells the others after the step."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
