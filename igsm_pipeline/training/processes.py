"""Joins the processes that train together, and lets them agree on a stop.

Under ``torch.distributed.run`` every process joins one group; a single process joins none. After a signal to any process, all of them agree on the
stop by an all-reduced flag, so that they save their state after the same step.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from igsm_pipeline.errors import TransientFault
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.processes.stopping import StopRequest


class Stopped(TransientFault):
    """A signal asked training to stop, this process or one that trains with it; its state is saved and a rerun resumes."""


@dataclass(frozen=True)
class Ranks:
    """This process among ``size`` processes; the one of rank 0 writes files."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files and draws the progress bar."""
        return self.rank == 0


@contextlib.contextmanager
def joined_ranks(device_name: str) -> Iterator[Ranks]:
    """Join the process group that the environment describes (gloo on CPUs, NCCL on GPUs), and leave it at the end of the block; alone: one rank.

    To leave NCCL's group takes all processes, so one that alone has an error does not: it would wait for the others, who wait for it in a sum, and
    its error would be read after hours. It has to end; ``ranks.joined_by_others`` ends the others.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    device = pick_device(device_name, int(os.environ.get("LOCAL_RANK", "0")))
    if size == 1 or dist.is_initialized():
        yield Ranks(dist.get_rank() if dist.is_initialized() else 0, dist.get_world_size() if dist.is_initialized() else 1, device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    store = None
    if "TORCHELASTIC_RUN_ID" not in os.environ:  # a launcher brings its own
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        patience = timedelta(minutes=5)  # how long to wait for a process that never joins
        store = dist.TCPStore(address, port, size, rank == 0, timeout=patience)  # type: ignore[attr-defined]  # public, but not marked as exported
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timedelta(hours=2))
    together = backend != "nccl"
    try:
        yield Ranks(rank, size, device)
        together = True
    except Stopped:  # all of them have agreed on it
        together = True
        raise
    finally:
        if together:
            dist.destroy_process_group()


def check_same_step(step: int, ranks: Ranks) -> None:
    """Refuse to train on if the processes went on from different states: their gradients would belong to different weights.

    Raises:
        TransientFault: one of them read another state, as when a file system shows it late.
    """
    if ranks.size == 1:
        return
    ends = torch.tensor([float(step), -float(step)], dtype=torch.float64, device=ranks.device)
    dist.all_reduce(ends, op=dist.ReduceOp.MAX)
    last, first = int(ends[0]), -int(ends[1])
    if first != last:
        raise TransientFault(
            f"the processes of the training resume after different steps, {first} and {last}: start it again when all see the same states"
        )


def agreed_stop(request: StopRequest, ranks: Ranks) -> bool:
    """Whether any rank was asked to stop; every rank gets the same answer."""
    if ranks.size == 1:
        return bool(request.signals)
    flag = torch.tensor([float(bool(request.signals))], device=ranks.device)
    dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return bool(flag.item())
