"""Leases: who is computing a unit, told to all machines that share an object storage.

A lease is a small object, put where there is none and replaced only by whoever read it last. Its holder renews it while it computes. Whoever
wants the unit meanwhile waits. A lease that nobody has renewed for as long as it says is over, and the first to replace it has it. Whoever waits
judges that by its own clock, from when it first saw this version, so no two clocks have to agree. The lease of a process of this machine that has
died is over at once.

A lease saves work and nothing else depends on it: of two who compute a unit all the same, the first to finish wins (``remote.py``).

Ours: all of it.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from igsm_pipeline.errors import BadSettings, StoreError, UnitLocked
from igsm_pipeline.store.objects import Objects
from igsm_pipeline.store.unit import Unit

LEASE_S = "IGSM_LEASE_S"
"""Environment variable: seconds after which a lease that is not renewed is over."""
_DEFAULT_S = 120.0
_PATIENCE_S = 5.0
"""Seconds that the end of a lease waits for a renewal under way."""


def lease_seconds() -> float:
    """How long a lease lasts without being renewed, in seconds.

    Raises:
        BadSettings: the variable holds no number of at least 0.1.
    """
    text = os.environ.get(LEASE_S, "")
    try:
        seconds = float(text) if text else _DEFAULT_S
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds < 1e6:
        raise BadSettings(LEASE_S, "must be seconds, from 0.1 on", text, f"unset it for {_DEFAULT_S:.0f}")
    return seconds


class Leases:
    """The leases below one address, as one process sees them."""

    def __init__(self, objects: Objects) -> None:
        self.objects, self.seconds = objects, lease_seconds()
        self._seen: dict[str, tuple[str, float]] = {}

    @contextmanager
    def held(self, unit: Unit, say: Callable[[str], None] = lambda line: None) -> Iterator[None]:
        """Hold the lease of a unit for the block, and renew it.

        Args:
            unit: what is to be computed.
            say: called with a line of text if the lease cannot be renewed.

        Raises:
            UnitLocked: another process, named in the message, holds it.
            StoreError: the storage cannot be reached.
        """
        key = f"leases/{unit.stage}/{unit.fingerprint}.json"
        mine = _Mine(self.objects, key, self.seconds, f"{unit.stage} {unit.name}", say)
        mine.version = self._take(mine)
        renewing = threading.Thread(target=mine.renew, daemon=True)
        renewing.start()
        try:
            yield
        finally:
            mine.done.set()
            renewing.join(_PATIENCE_S)
            with suppress(StoreError):  # it ends by itself
                mine.give_back()

    def _take(self, mine: _Mine) -> str:
        key, data = mine.key, mine.record()
        found = self.objects.read(key)
        if found is None:
            version = self.objects.create(key, data)
            if version is not None:
                return version
            found = self.objects.read(key)
        if found is None:
            raise UnitLocked(f"{mine.label} is being taken by another process; wait for it")
        other = _read(found[0])
        if self._is_over(key, other, found[1]):
            version = self.objects.swap(key, data, found[1])
            if version is not None:
                mine.say(f"{mine.label}: took over the lease of process {other['pid']} on {other['host']}, which was not renewed")
                return version
        raise UnitLocked(f"{mine.label} is being computed by process {other['pid']} on {other['host']}; wait for it or stop it")

    def _is_over(self, key: str, other: dict[str, Any], version: str) -> bool:
        if other["seat"] and other["seat"] == _seat() and not _is_alive(other["pid"]):
            return True
        now = time.monotonic()
        seen, since = self._seen.get(key, ("", now))
        if seen != version:
            self._seen[key] = version, now
            return False
        return bool(now - since > other["seconds"])


class _Mine:
    """One lease that this process holds."""

    def __init__(self, objects: Objects, key: str, seconds: float, label: str, say: Callable[[str], None]) -> None:
        self.objects, self.key, self.seconds, self.label, self.say = objects, key, seconds, label, say
        self.owner, self.version, self.renewals, self.lost = secrets.token_hex(8), "", 0, False
        self.done = threading.Event()

    def record(self) -> bytes:
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.seconds))  # for people; nobody computes with it
        who = {"owner": self.owner, "host": socket.gethostname(), "pid": os.getpid(), "seat": _seat()}
        return json.dumps({**who, "seconds": self.seconds, "until": until, "renewals": self.renewals}).encode()

    def renew(self) -> None:
        """Renew the lease three times as often as it needs, until it is given back or lost."""
        told = False
        while not self.done.wait(self.seconds / 3):
            self.renewals += 1
            try:
                version = self.objects.swap(self.key, self.record(), self.version)
            except StoreError as error:
                if not told:
                    self.say(f"{self.label}: the lease is not renewed, the work goes on: {error}")
                told = True
                continue
            if version is None:
                self.lost = True
                self.say(f"{self.label}: the lease was taken over; whoever finishes first wins")
                return
            self.version = version

    def give_back(self) -> None:
        found = None if self.lost else self.objects.read(self.key)
        if found is not None and _read(found[0])["owner"] == self.owner:
            self.objects.remove(self.key)


def _read(data: bytes) -> dict[str, Any]:
    """What a lease says; of one that cannot be read, that nobody known holds it."""
    unknown = {"owner": "", "host": "an unknown machine", "pid": 0, "seat": "", "seconds": _DEFAULT_S}
    try:
        said = json.loads(data)
    except ValueError:
        return unknown
    if not isinstance(said, dict):
        return unknown
    return {
        key: said[key] if isinstance(said.get(key), (int, float) if key == "seconds" else type(value)) else value for key, value in unknown.items()
    }


def _seat() -> str:
    """The machine since its last start, and the view that this process has of its processes; "" where the system has no such names."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
