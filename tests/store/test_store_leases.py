"""A lease has one holder, is waited for while it is renewed, and is taken over when it is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from reference.two_units import READER, SOURCE

from igsm_pipeline.errors import BadSettings, StoreError, UnitLocked
from igsm_pipeline.store import leases as leases_module
from igsm_pipeline.store.leases import Leases, lease_seconds
from igsm_pipeline.store.objects import Objects

pytest.importorskip("obstore", reason="obstore is not installed: pip install -e '.[remote]'")
KEY = f"leases/{SOURCE.stage}/{SOURCE.fingerprint}.json"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(leases_module.time, "monotonic", lambda: made.now)
    return made


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(f"file://{tmp_path}/bucket")


def record(objects: Objects) -> dict:
    found = objects.read(KEY)
    assert found is not None
    return json.loads(found[0])


def test_who_wants_a_leased_unit_is_told_who_holds_it_and_has_it_afterwards(objects: Objects) -> None:
    with Leases(objects).held(SOURCE):
        with (
            pytest.raises(UnitLocked, match=rf"problem_sets train is being computed by process {os.getpid()} on \S+; wait for it or stop it"),
            Leases(objects).held(SOURCE),
        ):
            pass
        with Leases(objects).held(READER):
            pass
    assert objects.read(KEY) is None
    with Leases(objects).held(SOURCE):
        assert record(objects)["pid"] == os.getpid()


def test_a_lease_is_given_back_when_the_work_fails(objects: Objects) -> None:
    with pytest.raises(RuntimeError), Leases(objects).held(SOURCE):
        raise RuntimeError
    assert objects.read(KEY) is None


def test_of_many_who_want_a_unit_at_once_one_has_it(objects: Objects) -> None:
    ready, done, got, refused = threading.Barrier(8), threading.Barrier(8), [], []

    def want(number: int) -> None:
        ready.wait()
        try:
            with Leases(objects).held(SOURCE):
                got.append(number)
                done.wait()
        except UnitLocked:
            refused.append(number)
            done.wait()

    threads = [threading.Thread(target=want, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 7)


def test_a_lease_that_is_not_renewed_is_over_after_its_own_seconds_on_the_clock_of_who_waits(objects: Objects, clock: Clock) -> None:
    objects.create(KEY, json.dumps({"owner": "other", "host": "far", "pid": 1, "seat": "elsewhere", "seconds": 30}).encode())
    waiting, said = Leases(objects), []
    for later in (0, 29, 0):
        clock.now += later
        with pytest.raises(UnitLocked, match="process 1 on far"), waiting.held(SOURCE):
            pass
    clock.now += 2
    with waiting.held(SOURCE, said.append):
        assert record(objects)["pid"] == os.getpid()
    assert said == ["problem_sets train: took over the lease of process 1 on far, which was not renewed"]


def test_a_lease_that_is_renewed_is_not_over_however_long_it_lasts(objects: Objects, clock: Clock) -> None:
    waiting = Leases(objects)
    for renewal in range(5):
        found = objects.read(KEY)
        data = json.dumps({"owner": "other", "host": "far", "pid": 1, "seat": "elsewhere", "seconds": 30, "renewals": renewal}).encode()
        assert objects.swap(KEY, data, found[1]) if found else objects.create(KEY, data)
        with pytest.raises(UnitLocked), waiting.held(SOURCE):
            pass
        clock.now += 25


def test_a_holder_renews_its_lease_while_it_works(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_LEASE_S", "0.3")
    renewed = threading.Event()
    swap = objects.swap

    def counted(key: str, data: bytes, version: str) -> str | None:
        if json.loads(data)["renewals"] == 3:
            renewed.set()
        return swap(key, data, version)

    monkeypatch.setattr(objects, "swap", counted)
    with Leases(objects).held(SOURCE):
        assert renewed.wait(60)
        assert record(objects)["renewals"] >= 2


def test_a_holder_that_was_overtaken_hears_of_it_works_on_and_leaves_the_other_lease_alone(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_LEASE_S", "0.3")
    heard, said = threading.Event(), []

    def say(line: str) -> None:
        said.append(line)
        heard.set()

    other = json.dumps({"owner": "other", "host": "far", "pid": 1, "seat": "elsewhere", "seconds": 30}).encode()
    with Leases(objects).held(SOURCE, say):
        while True:
            found = objects.read(KEY)
            assert found is not None
            if objects.swap(KEY, other, found[1]):
                break
        assert heard.wait(60)
    assert said == ["problem_sets train: the lease was taken over; whoever finishes first wins"]
    assert record(objects)["owner"] == "other"


def test_a_server_that_is_gone_meanwhile_does_not_stop_the_work(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_LEASE_S", "0.3")
    tried, said = threading.Semaphore(0), []

    def gone(*_: object) -> None:
        tried.release()
        raise StoreError("cannot reach it")

    with Leases(objects).held(SOURCE, said.append):
        monkeypatch.setattr(objects, "swap", gone)
        monkeypatch.setattr(objects, "read", gone)
        assert tried.acquire(timeout=60)
        assert tried.acquire(timeout=60)
    assert said == ["problem_sets train: the lease is not renewed, the work goes on: cannot reach it"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no name for their start")
def test_the_lease_of_a_process_of_this_machine_that_was_killed_is_over_at_once(objects: Objects) -> None:
    text = f"""
import os, signal
from reference.two_units import SOURCE
from igsm_pipeline.store.leases import Leases
from igsm_pipeline.store.objects import Objects
with Leases(Objects({objects.address!r})).held(SOURCE):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")])}
    assert subprocess.run([sys.executable, "-c", text], env=environment, check=False).returncode < 0
    assert record(objects)["pid"] != os.getpid()
    with Leases(objects).held(SOURCE):
        assert record(objects)["pid"] == os.getpid()


@pytest.mark.parametrize("data", [b"", b"[]", b'{"pid": "x"}', b"\xff\xfe"])
def test_a_lease_that_cannot_be_read_is_waited_for_like_any_other(objects: Objects, clock: Clock, data: bytes) -> None:
    objects.create(KEY, data)
    waiting = Leases(objects)
    with pytest.raises(UnitLocked, match="on an unknown machine"), waiting.held(SOURCE):
        pass
    clock.now += 121
    with waiting.held(SOURCE):
        assert record(objects)["pid"] == os.getpid()


@pytest.mark.parametrize("text", ["0", "soon", "-3", "nan", "1e9"])
def test_a_duration_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("IGSM_LEASE_S", text)
    with pytest.raises(BadSettings, match="IGSM_LEASE_S must be seconds"):
        lease_seconds()
