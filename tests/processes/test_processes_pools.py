"""Worker processes: results come back, a failure waits for what has begun, a stop ends every worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from igsm_pipeline.processes.pools import begin_worker, end_workers, usable_cores, worker_pool
from igsm_pipeline.processes.stopping import Stopped


def square(number: int) -> int:
    return number * number


def handlers(_number: int) -> tuple[bool, bool]:
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN, signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def write_slowly(path: str) -> int:
    Path(path + ".begun").touch()
    time.sleep(1.0)
    Path(path).touch()
    return os.getpid()


def sleep_long(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(300)


def lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() or (not path.stat().st_size and path.suffix == ".pid"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_workers_compute_in_order_and_leave_ctrl_c_to_their_parent():
    with worker_pool(2, begin_worker) as pool:
        assert list(pool.map(square, range(6))) == [0, 1, 4, 9, 16, 25]
        assert set(pool.map(handlers, range(4))) == {(True, True)}
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


def test_a_terminal_reaches_no_worker_not_even_one_that_is_starting():
    script = """
import signal
from multiprocessing import resource_tracker
from pathlib import Path
from igsm_pipeline.processes.pools import begin_worker, worker_pool

with worker_pool(1, begin_worker) as pool:
    blocked = pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ()).result()
    print(blocked == {signal.SIGINT, signal.SIGHUP})
    status = Path(f"/proc/{resource_tracker._resource_tracker._pid}/status").read_text()
    print(int(status.partition("SigBlk:")[2].split()[0], 16) >> (signal.SIGHUP - 1) & 1)
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split("\n")
    assert said[0] == "True", "Ctrl-C reaches a worker that starts: it ends with a traceback"
    assert said[1] == "1", "a closed terminal ends the tracker of semaphores, and the next one begins with tracebacks"
    assert said[2] == "set()", "the parent still hears its terminal"


def test_a_failure_waits_for_what_has_begun_and_drops_the_rest(tmp_path: Path):
    with pytest.raises(RuntimeError, match="of ours"), worker_pool(1, begin_worker) as pool:
        pool.submit(write_slowly, str(tmp_path / "first"))
        for number in range(20):
            pool.submit(write_slowly, str(tmp_path / f"later{number}"))
        until(tmp_path / "first.begun")
        raise RuntimeError("of ours")
    assert (tmp_path / "first").exists()
    assert len(list(tmp_path.glob("later*.begun"))) <= 3  # what stood ready in the pool's queue


def test_a_stop_ends_every_worker_whatever_it_does(tmp_path: Path):
    started = time.monotonic()
    with pytest.raises(Stopped), worker_pool(2, begin_worker) as pool:
        for name in "ab":
            pool.submit(sleep_long, str(tmp_path / f"{name}.pid"))
        until(tmp_path / "a.pid")
        until(tmp_path / "b.pid")
        raise Stopped(signal.SIGINT)
    workers = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    assert len(workers) == 2
    assert not any(map(lives, workers))
    assert time.monotonic() - started < 60


def test_waiting_work_is_cancelled_when_workers_are_ended(tmp_path: Path):
    with worker_pool(1, begin_worker) as pool:
        running = pool.submit(sleep_long, str(tmp_path / "one.pid"))
        waiting = [pool.submit(square, number) for number in range(8)]
        until(tmp_path / "one.pid")
        end_workers(pool)
        deadline = time.monotonic() + 30
        while not all(one.done() for one in (running, *waiting)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert running.done()
        assert sum(one.cancelled() for one in waiting) >= 6
        assert not lives(int((tmp_path / "one.pid").read_text()))
