"""Ends a process together with its parent. It imports no torch, so that processes that only make data stay small."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with(parent: int, number: signal.Signals) -> None:
    """Let the kernel send this process a signal when the thread of process ``parent`` that started it ends (Linux only).

    It is one system call of a library that is already loaded, so a child may call it before it starts its program.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(1)


def die_with_parent() -> None:
    """End this process as soon as its parent ends. Call it in the main thread of a child process.

    On Linux the kernel sends SIGKILL; elsewhere a thread watches the parent's id.
    """
    started_by = multiprocessing.parent_process()
    parent = os.getppid() if started_by is None else started_by.pid or 0
    if sys.platform == "linux":
        end_with(parent, signal.SIGKILL)
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()
