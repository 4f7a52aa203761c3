"""The cards (GPUs) of this machine, leased: whoever computes on one holds its lock, and sees no other.

A lock is a file per card in the folder for temporary files, one folder per user, so that every data root and every run on this machine respects it.
It ends with its process. The holder's ``CUDA_VISIBLE_DEVICES`` names its cards, so "the first GPU" is a different one in each process. Cards
are named by what NVIDIA calls them for good (``GPU-...``): their numbers differ between the machine, a container and a job that sees some only.

Ours: all of it. Found without torch.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from igsm_pipeline.processes.pools import begin_worker, worker_pool
from igsm_pipeline.store.locks import lock_owner, locked

VISIBLE = "CUDA_VISIBLE_DEVICES"
DRIVER, DEVICES = Path("/dev/nvidiactl"), Path("/dev")
POLL_S = 1.0
ASKED_S = 60.0
Item = TypeVar("Item")
Made = TypeVar("Made")
_held = ExitStack()
"""In a worker process: the lease that it keeps until it ends."""


def visible_cards() -> tuple[str, ...]:
    """The cards that this process may use, by the names that ``CUDA_VISIBLE_DEVICES`` takes; none without NVIDIA's driver.

    Where the driver's ``nvidia-smi`` does not answer, cards are numbered from 0 as CUDA does, whatever their files are called.
    """
    if not DRIVER.exists():
        return ()
    named, there = os.environ.get(VISIBLE), names_for_good()
    if named is not None:
        names = [name for name in (part.strip() for part in named.split(",")) if name not in ("", "-1")]
        return tuple(there[int(name)] if name.isdecimal() and int(name) < len(there) else name for name in names)
    if there:
        return there
    return tuple(map(str, range(sum(bool(re.fullmatch(r"nvidia\d+", path.name)) for path in DEVICES.iterdir()))))


def names_for_good() -> tuple[str, ...]:
    """``GPU-...`` of every card that the driver shows here, by number; empty where it is not told."""
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"], capture_output=True, text=True, check=True, timeout=ASKED_S
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in answer.stdout.splitlines() if line.strip().startswith("GPU-"))


def lock_of(card: str) -> Path:
    """The lock's file of a card."""
    return Path(tempfile.gettempdir()) / f"igsm-cards-{os.getuid()}" / f"{re.sub(r'[^A-Za-z0-9-]', '_', card)}.lock"


@contextmanager
def leased(cards: Sequence[str], most: int = 1, say: Callable[[str], None] = lambda line: None, *, least: int = 1) -> Iterator[tuple[str, ...]]:
    """Hold cards for the length of a block; this process and its children see no others meanwhile. CUDA must not have been used before.

    Args:
        cards: the cards to choose from; not empty.
        most: how many to take, if so many are free; 0: all that are free.
        say: called once with a line of text if there is a wait.
        least: how many are waited for; until they are free together, none is held.

    Yields:
        The cards that are held.
    """
    said, before = False, os.environ.get(VISIBLE)
    with ExitStack() as held:
        while not (mine := _take(cards, most or len(cards), min(least, len(cards)), held)):
            if not said:
                holders = ", ".join(sorted({owner for card in cards if (owner := lock_owner(lock_of(card)))}))
                few = f"all {len(cards)} cards" if least == 1 else f"{least} of {len(cards)} cards are needed, and some"
                say(f"waiting: {few} are in use, by process {holders or 'unknown'}")
                said = True
            time.sleep(POLL_S)
        os.environ[VISIBLE] = ",".join(mine)
        try:
            yield mine
        finally:
            if before is None:
                os.environ.pop(VISIBLE, None)
            else:
                os.environ[VISIBLE] = before


def _take(cards: Sequence[str], most: int, least: int, held: ExitStack) -> tuple[str, ...]:
    """Cards that are free, at most so many; none, and none held, where they are fewer than ``least``."""
    mine: list[str] = []
    with ExitStack() as taken:
        for card in cards:
            if len(mine) < most and taken.enter_context(locked(lock_of(card), wait=False)):
                mine.append(card)
        if len(mine) < least:
            return ()
        held.enter_context(taken.pop_all())
    return tuple(mine)


def map_on_cards(work: Callable[..., Made], *items: Iterable[Item], cards: Sequence[str], beside: int, patience_s: float = 0.0) -> list[Made]:
    """Do work in several processes side by side, each with a card of its own.

    Args:
        work: a function of a module.
        items: its arguments, as for ``map``.
        cards: the cards to choose from; not empty.
        beside: number of processes, at most that of the cards.
        patience_s: as for ``worker_pool``.
    """
    with worker_pool(beside, _begin_on_card, (tuple(cards),), patience_s=patience_s) as pool:
        return list(pool.map(work, *items))


def _begin_on_card(cards: tuple[str, ...]) -> Any:
    """Set up a worker process: it keeps one card until it ends."""
    begin_worker()
    _held.enter_context(leased(cards))
