"""Which faults may disappear in a rerun, and how an exit code reports the end of a process.

A rerun helps if the machine was at fault (a worker was killed, the memory was full). It does not help after a bad setting, a full disk or a
program error: these would fail again, hours later.
"""

from __future__ import annotations

import errno
import signal
from concurrent.futures.process import BrokenProcessPool

from igsm_pipeline.errors import IgsmError, StageFailed, TransientFault
from igsm_pipeline.processes.stopping import stopped_by

DONE, FAULT, REFUSED, TRANSIENT = 0, 1, 2, 75
"""Exit codes of ``python -m igsm_pipeline.running``; 75 is the EX_TEMPFAIL of sysexits.h."""

_PASSING_ERRORS = frozenset(
    (
        errno.EAGAIN, errno.EINTR, errno.EIO, errno.ENOMEM, errno.EBUSY, errno.ENOLCK, errno.ESTALE, errno.ETIMEDOUT, errno.EPIPE,
        errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.ENETUNREACH, errno.EHOSTUNREACH,
    )
)  # fmt: skip
_PASSING_WORDS = ("CUDA error", "CUBLAS_STATUS", "CUDNN_STATUS", "NCCL", "EADDRINUSE", "Connection reset by peer", "Connection closed by peer")
_FULL = "out of memory"
"""What torch says of a GPU whose memory does not suffice; whoever computes has the card for itself, so it would not suffice again."""
_PASSING_SIGNALS = frozenset((signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT))


def may_pass(error: BaseException) -> bool:
    """Whether the same work may succeed when it is started again: the machine was at fault, not settings, data or program."""
    if isinstance(error, IgsmError):
        return isinstance(error, TransientFault)
    if isinstance(error, OSError):
        return error.errno in _PASSING_ERRORS
    return isinstance(error, MemoryError | BrokenProcessPool) or (
        isinstance(error, RuntimeError) and _FULL not in str(error) and any(word in str(error) for word in _PASSING_WORDS)
    )


def exit_code(error: IgsmError) -> int:
    """The exit code for an error: transient, a fault of the program (it has a cause), or refused."""
    if isinstance(error, TransientFault):
        return TRANSIENT
    return FAULT if isinstance(error, StageFailed) and error.__cause__ is not None else REFUSED


def failure_of(status: int, message: str) -> StageFailed:
    """The error for a process that ended with a status other than 0 (negative: the signal that killed it, as in ``subprocess``).

    A process that was stopped while its parent was not (a preemption) may be started again: its state is saved.
    """
    if status == TRANSIENT or stopped_by(status) or (status < 0 and -status in _PASSING_SIGNALS):
        return TransientFault(message)
    return StageFailed(message)
