"""Servers of other programs on this machine, for the time of a test."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(
    command: Sequence[str | Path],
    first: str | urllib.request.Request,
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    wait_s: float = 600,
) -> Iterator[None]:
    """Run a server for the block, which begins once it has answered.

    Args:
        command: its program and arguments.
        first: what it is asked until it answers.
        log: gets what it writes; the end of it is shown if the server ends too early.
        environment: None: this process's.
        wait_s: seconds after which it should have answered.
    """
    with log.open("wb") as written:
        server = subprocess.Popen(command, env=environment, stdout=written, stderr=written, cwd=log.parent)
        deadline = time.monotonic() + wait_s
        try:
            while not _answers(first):
                assert server.poll() is None, log.read_text(errors="replace")[-3000:]
                assert time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
                time.sleep(0.2)
            yield
        finally:
            server.terminate()
            server.wait(60)


def _answers(first: str | urllib.request.Request) -> bool:
    try:
        urllib.request.urlopen(first, timeout=5)
    except (urllib.error.URLError, OSError):
        return False
    return True
