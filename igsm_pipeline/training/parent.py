"""Not outliving the process that started this one. Without torch, so that processes that only make data stay small."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """End this process as soon as its parent does. Call it in the main thread of a process that was started as a child.

    The kernel sends SIGKILL on Linux (PR_SET_PDEATHSIG, which counts from the thread that started the child); elsewhere the parent's id is watched.
    """
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()
