"""Stop signals: SIGINT (Ctrl-C), SIGTERM (a machine that shuts down) and SIGHUP (a closed terminal).

The first signal ends the work within seconds, its state saved; a second Ctrl-C ends it at once. The exit code is 128 plus the signal's number.

Ours: a signal raises ``Stopped`` in the main thread, like Ctrl-C in any Python program. A thread watches the clock meanwhile, because the main
thread may be busy in a library's code, or a library (Dagster) may have replaced our handlers. Python writes the number of every signal into a pipe,
which this thread reads. When the time is over, it kills the processes that were started, and ends this one.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NoReturn

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TERMINAL_STOPS = (signal.SIGINT, signal.SIGHUP)
"""What a terminal sends to all processes in its foreground."""
PATIENCE_S = 7.0
"""Seconds from the first signal until a process without a state to save is ended."""
STATE_PATIENCE_S = 60.0
"""Seconds that a process has to save a state."""
AT_ONCE_S = 1.5
"""Seconds that a process has to report how it ended, after a second signal or when its time is over."""
_TWICE_S = 0.3


class Stopped(KeyboardInterrupt):
    """A signal asked this process to stop. Its one argument is the signal's number."""


def stop_code(number: int) -> int:
    """The exit code of a process that a signal stopped: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + number


def stopped_by(code: int) -> int:
    """The signal that stopped a process, from its exit code (negative if the signal killed it); 0 if none did."""
    number = -code if code < 0 else code - 128
    return number if number in STOPS else 0


def leave(code: int) -> NoReturn:
    """End a stopped process at once, its output flushed, without the seconds that libraries take to clean up."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    gc.collect()  # pools unregister their semaphores here; nothing else removes them
    os._exit(code)


def heard_stop() -> int:
    """The number of the first stop signal that this process has received; 0 if none."""
    return _hearing.first if _hearing is not None else 0


@dataclass
class _Hearing:
    """The signals that this process has received, and how it reacts.

    Attributes:
        farewell: the line to print at the end if the main thread cannot print one.
        pipe: the writing end of the pipe of signals.
        before: the earlier handlers.
        old_pipe: the earlier pipe; -1 for none.
        first: the first signal; 0 for none.
        since: when it came (monotonic seconds).
        patience_s: seconds from then until the process is ended.
        groups: process groups that end with this process -> seconds that they may take.
        clean_ups: what is still done before this process is ended at once.
    """

    farewell: Callable[[int], str]
    pipe: int
    before: dict[signal.Signals, Any]
    old_pipe: int = -1
    first: int = 0
    since: float = 0.0
    patience_s: float = PATIENCE_S
    groups: dict[int, float] = field(default_factory=dict)
    clean_ups: list[Callable[[], None]] = field(default_factory=list)
    _raised: bool = False
    _own: int = 0
    _heard: int = 0
    _first_byte: float = 0.0
    _done: threading.Event = field(default_factory=threading.Event)
    _parent: int = field(default_factory=os.getppid)
    _terminals: list[int] = field(default_factory=lambda: [stream for stream in (1, 2) if os.isatty(stream)])

    def note(self, number: int) -> None:
        """Remember the first signal. A stream that is not read any more (a closed terminal, the pipe of a dead parent) is closed to writing."""
        if not self.first:
            self.first, self.since = number, time.monotonic()
        orphan = os.getppid() != self._parent
        for stream in (1, 2):
            if orphan or (number == signal.SIGHUP and stream in self._terminals):
                void = os.open(os.devnull, os.O_WRONLY)
                os.dup2(void, stream)
                os.close(void)

    def on_stop(self, number: int, _frame: FrameType | None) -> None:
        """Raise ``Stopped``, once: a later signal does not break off what cleans up after the first."""
        self.note(number)
        if not self._raised:
            self._raised = True
            raise Stopped(number)

    def on_hangup(self, number: int, _frame: FrameType | None) -> None:
        """Do what SIGINT does, whichever handler it has at the moment."""
        self.note(number)
        self._own += 1
        signal.raise_signal(signal.SIGINT)

    def watch(self, pipe: int) -> None:
        """Read signals as they come; end the process at the second one, or when the time after the first is over."""
        while True:
            limit = max([self.patience_s, *self.groups.values()]) + (2.0 if self.groups else 0.0)
            left = max(0.0, self.since + limit - time.monotonic()) if self.first else None
            ready = select.select([pipe], [], [], 1.0 if left is None or left > 1.0 else left)[0]
            if not ready:
                if left is not None and left <= 1.0:
                    self.end_at_once()
                continue
            numbers = os.read(pipe, 64)
            if not numbers:
                os.close(pipe)
                return
            for number in numbers:
                self._count(number)

    def _count(self, number: int) -> None:
        if number not in STOPS:
            return
        if self._own and number == signal.SIGINT:
            self._own -= 1
            return
        now = time.monotonic()
        self._heard += 1
        if self._heard == 1:
            self._first_byte = now
            if not self.first:
                self.first, self.since = number, now
        elif number != signal.SIGHUP and now - self._first_byte > _TWICE_S:
            self.end_at_once()

    def end_at_once(self) -> None:
        """Kill the processes that this one started, and end it unless the main thread does so in a moment."""
        for group in list(self.groups):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        if not self._done.wait(AT_ONCE_S):
            with contextlib.suppress(OSError):
                os.write(2, f"\n{self.farewell(self.first)}\n".encode(errors="replace"))
        for clean_up in list(self.clean_ups):
            clean_up()
        os._exit(stop_code(self.first or signal.SIGINT))

    def end_soon(self) -> None:
        """Give the interpreter a last moment to end; the main thread has finished."""
        for number in self.before:
            signal.signal(number, _ignore)
        self.groups.clear()
        self.patience_s = time.monotonic() - self.since + AT_ONCE_S
        self._done.set()


_hearing: _Hearing | None = None


def _say_stopped(number: int) -> str:
    return f"stopped by {signal.Signals(number).name}; what was done is kept and a rerun resumes it"


@contextlib.contextmanager
def hear_stops(numbers: Sequence[signal.Signals] = STOPS, farewell: Callable[[int], str] = _say_stopped) -> Iterator[None]:
    """While the block runs, stop signals raise ``Stopped`` in the main thread; if that is not enough, the process is ended.

    Inside another such block, and outside the main thread, this does nothing. After a stop the process is expected to end: its clock keeps running.

    Args:
        numbers: the signals. SIGHUP is not touched if it is ignored (``nohup``).
        farewell: signal -> the line on standard error if the main thread cannot print one.
    """
    global _hearing  # noqa: PLW0603  (signals are a matter of the whole process)
    if _hearing is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    heard = [number for number in numbers if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN]
    hearing = _hearing = _Hearing(farewell, writing, {number: signal.getsignal(number) for number in heard})
    hearing.old_pipe = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in heard:
        signal.signal(number, hearing.on_hangup if number == signal.SIGHUP else hearing.on_stop)
    threading.Thread(target=hearing.watch, args=(reading,), daemon=True, name="stops").start()
    try:
        yield
    finally:
        if _hearing is hearing and not hearing.first:
            leave_stops_alone()
        elif _hearing is hearing:
            hearing.end_soon()


def leave_stops_alone() -> None:
    """Stop listening, and restore the earlier handlers: the caller handles signals from here on."""
    global _hearing  # noqa: PLW0603
    if _hearing is not None:
        for number, handler in _hearing.before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(_hearing.old_pipe)
        os.close(_hearing.pipe)  # the thread ends
    _hearing = None


@contextlib.contextmanager
def starting_deaf() -> Iterator[None]:
    """Start processes in the block that never hear Ctrl-C or a closed terminal, not even while they start: their parent is told, and ends them.

    A signal that comes meanwhile is handled when the block has ended.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL_STOPS)  # a new process inherits the mask
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def ending_with(group: int, patience_s: float) -> Iterator[None]:
    """While the block runs, kill a process group if this process has to end at once.

    Args:
        group: id of the process group.
        patience_s: seconds that it has to end by itself after the first signal.
    """
    hearing = _hearing
    if hearing is not None:
        hearing.groups[group] = patience_s
    try:
        yield
    finally:
        if hearing is not None:
            hearing.groups.pop(group, None)


@contextlib.contextmanager
def cleaned_up(clean_up: Callable[[], None]) -> Iterator[None]:
    """Call a function when the block ends, and also if this process has to be ended at once in the middle of it.

    Args:
        clean_up: may be called from another thread, and while the block still runs; it must raise nothing.
    """
    hearing = _hearing
    if hearing is not None:
        hearing.clean_ups.append(clean_up)
    try:
        yield
    finally:
        clean_up()
        if hearing is not None:
            hearing.clean_ups.remove(clean_up)


@contextlib.contextmanager
def with_patience(seconds: float) -> Iterator[None]:
    """While the block runs, a stop may take so many seconds before this process is ended; after a stop, until it has ended."""
    hearing = _hearing
    before = hearing.patience_s if hearing is not None else 0.0
    if hearing is not None:
        hearing.patience_s = seconds
    try:
        yield
    finally:
        if hearing is not None and not hearing.first:
            hearing.patience_s = before


@dataclass
class StopRequest:
    """Remembers stop signals instead of raising them.

    Attributes:
        signals: the signals that came.
        raising: whether a signal raises ``Stopped`` at present, because the work can be interrupted at any point.
    """

    signals: list[int] = field(default_factory=list)
    raising: bool = False

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """While the block runs, let a signal raise ``Stopped``, even one that came earlier."""
        self.raising = True
        try:
            if self.signals:
                raise Stopped(self.signals[0])
            yield
        finally:
            self.raising = False


@contextlib.contextmanager
def remember_stops() -> Iterator[StopRequest]:
    """While the block runs, record stop signals instead of raising (main thread only), for work with a state to save. A second ends the process."""
    request, hearing = StopRequest(), _hearing
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in STOPS}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN or number != signal.SIGHUP}

    def remember(number: int, _frame: FrameType | None) -> None:
        request.signals.append(number)
        signal.signal(number, before[signal.Signals(number)])
        if hearing is not None:
            hearing.note(number)
        if request.raising:
            raise Stopped(number)

    for number in before:
        signal.signal(number, remember)
    if hearing is not None:
        hearing.patience_s = STATE_PATIENCE_S
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if hearing is not None and not request.signals:
            hearing.patience_s = PATIENCE_S


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """A handler that does nothing; unlike SIG_IGN it lets the watching thread see a second signal."""
