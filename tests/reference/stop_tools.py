"""What the stop drills need: a command in a terminal of its own, a signal in the middle of a stage, and what is left afterwards."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
WAIT_S = 120.0


@dataclass
class Terminal:
    """A command that leads a session of its own, its terminal a pseudo-terminal; with ``piped`` its standard error is a pipe instead."""

    process: subprocess.Popen[bytes]
    master: int
    said: bytearray = field(default_factory=bytearray)
    seen: dict[int, psutil.Process] = field(default_factory=dict)

    def family(self) -> list[psutil.Process]:
        """Every process that the command has started so far, itself included, whatever became of its parents."""
        with contextlib.suppress(psutil.NoSuchProcess):
            leader = psutil.Process(self.process.pid)
            for one in [leader, *leader.children(recursive=True)]:
                self.seen.setdefault(one.pid, one)
        return list(self.seen.values())

    def alive(self) -> list[psutil.Process]:
        """Those of them that still run."""
        return [one for one in self.family() if runs(one)]

    def key(self, character: bytes = b"\x03") -> None:
        """Press a key; Ctrl-C by default: the terminal sends SIGINT to its foreground group."""
        os.write(self.master, character)

    def close(self) -> None:
        """Close the window: the kernel sends SIGHUP."""
        os.close(self.master)
        self.master = -1

    def text(self) -> str:
        return self.said.decode(errors="replace").replace("\r\n", "\n")


def runs(process: psutil.Process) -> bool:
    """Whether a process still does anything; it may end between two questions about it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def hear_stops_again() -> None:
    """In a new process: stop signals have their usual effect, whatever the tests' own parent made of them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def in_terminal(command: list[str], environment: dict[str, str]) -> Iterator[Terminal]:
    """Run a command in a pseudo-terminal while the block runs; what is left of it afterwards is killed."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def lead() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        hear_stops_again()

    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, env=environment, preexec_fn=lead)  # noqa: PLW1509
    os.close(slave)
    made = Terminal(process, master)

    def listen() -> None:
        with contextlib.suppress(OSError):
            while chunk := os.read(master, 65536):
                made.said.extend(chunk)

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield made
    finally:
        for one in made.alive():
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()
        if made.master >= 0:
            os.close(made.master)


def until(condition: Callable[[], bool], what: str, within_s: float = WAIT_S, step_s: float = 0.02) -> float:
    """Wait until a condition holds; returns the seconds that took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < within_s, f"waited {within_s:.0f} s in vain: {what}"
        time.sleep(step_s)
    return time.monotonic() - started


def igsm_command(*words: str) -> list[str]:
    return [sys.executable, "-m", "igsm_pipeline.cli", *words]


def library_command(*words: str) -> list[str]:
    return [sys.executable, "-m", "igsm_pipeline.running", *words]
