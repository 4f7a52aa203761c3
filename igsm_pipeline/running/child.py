"""Runs heavy work in a child process that ends with its parent and stops gently.

A stage of a member is computed by ``python -m igsm_pipeline.running run MEMBER --stage STAGE --jobs N``. ``stage_command`` builds this command and is
the one place to change for another launcher (torchrun, a container). The child's progress bars are passed on.

Ours: a stopped run sends the child one SIGINT and waits, because training saves a state to resume from. A second stop, or too long a wait,
kills the child and all its processes. On Linux a killed parent takes its child along, because an orphaned training would keep the unit's lock
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
"""Seconds that a stopped child has before it is killed. A child without a state to save ends within seconds by itself."""
SHOWS_PROGRESS = "IGSM_SHOWS_PROGRESS"
"""Environment variable: "1" if a parent passes this process's standard error on to a terminal."""
_TAIL_BYTES = 8192


def stage_command(member: str, stage: str) -> list[str]:
    """The command that computes the stale units of one stage of one member, on ``IGSM_JOBS`` cores (default: all)."""
    return [sys.executable, "-m", "igsm_pipeline.running", "run", member, "--stage", stage, "--jobs", os.environ.get(JOBS, "0"), "--checks", "note"]


def run_command(
    command: Sequence[str],
    *,
    on_tick: Callable[[], None] | None = None,
    tick_s: float = 2.0,
    grace_s: float = GRACE_S,
    stdout: int | None = subprocess.DEVNULL,
) -> None:
    """Run a command to its end, and pass its standard error on.

    Args:
        command: program and arguments.
        on_tick: called every ``tick_s`` seconds while it runs.
        tick_s: seconds between calls.
        grace_s: seconds that the child has to finish after an interrupt, before it is killed.
        stdout: where its standard output goes; a stage's is a summary for programs, and the store has the same. None: to this process's own.

    Raises:
        StageFailed: it ended with a non-zero status; the message has its last line.
        TransientFault: the same, for a fault that may disappear in a rerun.
    """
    parent = os.getpid()
    process = subprocess.Popen(
        command,
        stdout=stdout,
        stderr=subprocess.PIPE,
        process_group=0,  # Ctrl-C in a terminal reaches this process only, so the child gets exactly one SIGINT
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
    """Interrupt a process and wait for it; kill it after ``grace_s`` seconds, or if the waiting is interrupted.

    If the process leads a process group of its own, the whole group is killed.
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
    """Environment variables for a child's progress bars: as wide as the terminal, or off if there is none."""
    if os.environ.get(SHOWS_PROGRESS) != "1":
        return {"TQDM_DISABLE": "1"}
    return {"TQDM_NCOLS": str(shutil.get_terminal_size((120, 24)).columns), "TQDM_MININTERVAL": "0.5"}


def _pass_through(process: subprocess.Popen[bytes], tail: bytearray, stopping: threading.Event) -> None:
    """Pass on the child's output until it is being stopped; from then on the parent's one line is enough."""
    assert process.stderr is not None
    while chunk := os.read(process.stderr.fileno(), 65536):
        if not stopping.is_set():
            with suppress(OSError):  # the terminal is gone
                os.write(2, chunk)
        tail += chunk
        del tail[:-_TAIL_BYTES]


def die_with(parent: int) -> None:
    """Called in a child before its program starts: restore SIGINT and SIGTERM, which a parent in the background (``nohup``, ``&``) may ignore,
    and ask for SIGTERM when process ``parent`` ends (Linux)."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with(parent, signal.SIGTERM)
