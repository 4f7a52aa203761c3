"""Heavy work as a child process that cannot outlive its parent and stops gently.

A stage of a member is computed by ``python -m igsm_pipeline.running run MEMBER --stage STAGE --jobs N``: one seam that only builds
a command (``stage_command``), so that another launcher (torchrun, a container) has one place to stand in. The child's progress bars pass through.

Ours: a stopped run sends the child one SIGINT and waits, because training writes a state to resume from; a second stop, or the end of the
patience, kills the child and all that it started. A killed parent takes its child along (Linux), because an orphaned trainer holds the unit's lock
and the memory.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from igsm_pipeline.processes import end_with
from igsm_pipeline.processes.stopping import STATE_PATIENCE_S, ending_with
from igsm_pipeline.running.faults import failure_of
from igsm_pipeline.running.runner import JOBS

GRACE_S = STATE_PATIENCE_S + 5.0
"""Seconds that a stopped child has before it is killed; it ends itself earlier, after seconds where it has no state to save."""
SHOWS_PROGRESS = "IGSM_SHOWS_PROGRESS"
"""Environment variable: "1" where a parent passes this process's standard error on to a terminal."""
_TAIL_BYTES = 8192


def stage_command(member: str, stage: str) -> list[str]:
    """The command that computes the stale units of one stage of one member, on as many cores as ``IGSM_JOBS`` says (default: all)."""
    return [sys.executable, "-m", "igsm_pipeline.running", "run", member, "--stage", stage, "--jobs", os.environ.get(JOBS, "0"), "--checks", "note"]


def run_command(command: Sequence[str], *, on_tick: Callable[[], None] | None = None, tick_s: float = 2.0, grace_s: float = GRACE_S) -> None:
    """Run a command to its end, its standard error passed through.

    Args:
        command: program and arguments.
        on_tick: called every ``tick_s`` seconds while it runs.
        tick_s: seconds between calls.
        grace_s: after an interrupt, seconds the child has to finish by itself before it is killed.

    Raises:
        StageFailed: it ended with a non-zero status; the message holds its last line.
        TransientFault: so it did, by a fault that may pass.
    """
    parent = os.getpid()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,  # a summary for machines; the store says the same
        stderr=subprocess.PIPE,
        process_group=0,  # Ctrl-C in a terminal reaches this process alone, so that the child gets exactly one SIGINT
        preexec_fn=lambda: die_with(parent),  # noqa: PLW1509  (system calls, their library loaded beforehand)
        env={**os.environ, "PYTHONUNBUFFERED": "1", **_progress()},
    )
    tail, stopping = bytearray(), threading.Event()
    reader = threading.Thread(target=_pass_through, args=(process, tail, stopping), daemon=True)
    reader.start()
    with ending_with(process.pid, grace_s):
        try:
            while True:
                try:
                    status = process.wait(timeout=tick_s)
                    break
                except subprocess.TimeoutExpired:
                    if on_tick is not None:
                        on_tick()
        except BaseException:
            stopping.set()
            stop(process, grace_s)
            raise
    reader.join()
    if status != 0:
        lines = [line for line in tail.decode(errors="replace").replace("\r", "\n").split("\n") if line.strip()]
        last = lines[-1].strip() if lines else "no message"
        ended = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        raise failure_of(status, f"`{' '.join(command[1:])}` {ended}: {last}")


def stop(process: subprocess.Popen[bytes], grace_s: float = GRACE_S) -> None:
    """Interrupt a process, wait for it; kill it after ``grace_s`` seconds, or when the waiting is interrupted.

    Where it leads a process group of its own, the whole group is killed.
    """
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=grace_s)
    except subprocess.TimeoutExpired:
        _kill(process)
    except BaseException:
        _kill(process)
        raise


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _progress() -> dict[str, str]:
    """Variables of a child's progress bars: drawn as wide as the terminal is, or not at all where there is none."""
    if os.environ.get(SHOWS_PROGRESS) != "1":
        return {"TQDM_DISABLE": "1"}
    return {"TQDM_NCOLS": str(shutil.get_terminal_size((120, 24)).columns), "TQDM_MININTERVAL": "0.5"}


def _pass_through(process: subprocess.Popen[bytes], tail: bytearray, stopping: threading.Event) -> None:
    """Hand on what a child says, until it is being stopped: then one line of the parent's says it all."""
    assert process.stderr is not None
    while chunk := os.read(process.stderr.fileno(), 65536):
        if not stopping.is_set():
            with suppress(OSError):  # the terminal is gone
                os.write(2, chunk)
        tail += chunk
        del tail[:-_TAIL_BYTES]


def die_with(parent: int) -> None:
    """In a child, before it runs its program: hear SIGINT and SIGTERM again, should the parent have been started deaf to them (``nohup``, ``&``),
    and get SIGTERM when process ``parent`` dies (Linux)."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with(parent, signal.SIGTERM)
