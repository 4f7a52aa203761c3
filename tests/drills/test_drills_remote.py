"""A member shared by machines through a real S3 server: kills, two at once, and a report opened where nothing else is."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from reference.drill_tools import ROOT, RUN_S, contents, environment, frozen_in, igsm, library
from reference.s3_server import BUCKET, s3_server
from reference.staleness_events import MEMBER, declare

from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.planning.planner import find_unit
from igsm_pipeline.store import PARTIAL, Store
from igsm_pipeline.store.remote import Remote

pytest.importorskip("obstore", reason="obstore is not installed: pip install -e '.[remote]'")
pytestmark = pytest.mark.slow
STAGES = ("world", "problem_sets", "token_shards")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that the environment names; yields the address."""
    with s3_server() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("IGSM_LEASE_S", "3")
        yield environment["IGSM_REMOTE"]


def machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another machine's data root, with the member's file alone."""
    declare(folder)
    monkeypatch.setenv("IGSM_HOME", str(folder))
    return folder


def begin(home: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "igsm_pipeline.running", "run", MEMBER, *words]
    return subprocess.Popen(command, cwd=ROOT, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def of_stages(stages: tuple[str, ...]) -> list[str]:
    return [word for stage in stages for word in ("--stage", stage)]


def test_a_report_is_opened_where_there_is_nothing_but_the_server(home: Path, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(home)
    sent = igsm(home, "push", MEMBER)
    assert sent.returncode == 0, sent.stderr[-2000:]
    assert f"{len(before)} pushed, 0 already at {server}" in sent.stderr
    other = machine(tmp_path / "other", monkeypatch)
    opened = igsm(other, "report", MEMBER)
    assert opened.returncode == 0, opened.stderr[-2000:]
    unit = find_unit(find_member(MEMBER), "report", "report")
    report = Store(other / "store").path(unit) / "report.html"
    assert opened.stdout.strip() == str(report)
    assert "stale" not in opened.stderr
    assert report.read_bytes() == (Store(home / "store").path(unit) / "report.html").read_bytes()
    assert list(contents(other)) == [f"report/{unit.fingerprint}"], "nothing else was needed"

    told = igsm(other, "plan", MEMBER, COLUMNS="200")
    assert told.returncode == 0, told.stderr[-2000:]
    assert f"{MEMBER}: {len(before) - 1} units, " in told.stdout
    assert f" are pulled from {server}" in told.stdout
    assert f"{MEMBER}: all {len(before)} units are fresh" in told.stdout
    run = igsm(other, "run", MEMBER)
    assert run.returncode == 0, run.stderr[-2000:]
    assert contents(other) == before
    assert "nobody" not in run.stdout + run.stderr, "the name of the key"
    assert "notasecret" not in run.stdout + run.stderr
    monkeypatch.delenv("IGSM_REMOTE")
    assert "units are fresh" in igsm(other, "plan", MEMBER, "--deep").stdout
    assert not list((other / "store").glob(f"*/*{PARTIAL}"))


def test_a_member_run_with_the_variable_set_is_all_on_the_server(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = machine(tmp_path / "first", monkeypatch)
    done = library(first, "run", MEMBER)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "not pushed" not in done.stderr
    made, units = contents(first), list(dict.fromkeys(units_of(find_member(MEMBER))))
    remote = Remote(server)
    assert {f"{unit.stage}/{unit.fingerprint}": manifest["content"] for unit in units if (manifest := remote.manifest(unit))} == made
    assert remote.objects.sizes("leases") == {}
    second = machine(tmp_path / "second", monkeypatch)
    opened = igsm(second, "report", MEMBER)
    assert opened.returncode == 0
    assert Path(opened.stdout.strip()).is_file()
    assert "stale" not in opened.stderr
    done = library(second, "run", MEMBER)
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"computed": 0' in done.stdout
    assert not [line for line in done.stdout.splitlines() if '"computed": 0' not in line]
    assert contents(second) == made


def test_two_machines_at_once_compute_every_unit_once_and_have_the_same_bytes(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    homes = [machine(tmp_path / name, monkeypatch) for name in "ab"]
    runs = [begin(home, *of_stages(STAGES)) for home in homes]
    told = [run.communicate(timeout=RUN_S) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    rows = [[line for line in out.splitlines() if line.startswith("{")] for out, _ in told]
    units = [unit for unit in dict.fromkeys(units_of(find_member(MEMBER))) if unit.stage in STAGES]
    counted = {kind: sum(out.count(f'"state": "{kind}"') for one in rows for out in one) for kind in ("computed", "pulled", "hit")}
    assert counted == {"computed": len(units), "pulled": len(units), "hit": 0}
    stores = [Store(home / "store") for home in homes]
    for unit in units:
        assert all(store.check_own(unit, deep=True) == () for store in stores)
        assert stores[0].manifest(unit) == stores[1].manifest(unit)
    assert Remote(server).objects.sizes("leases") == {}


@pytest.mark.parametrize("moment", [1, 2, 6, 10])
def test_a_machine_killed_while_it_runs_leaves_the_server_valid_and_another_finishes_the_work(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    first = machine(tmp_path / "first", monkeypatch)
    run, remote = begin(first, *of_stages(STAGES)), Remote(server)
    while run.poll() is None and len(remote.objects.sizes("store")) + len(remote.objects.sizes("leases")) < moment:
        time.sleep(0.01)
    assert run.poll() is None, "it was over before it could be killed"
    run.send_signal(signal.SIGKILL)
    run.communicate()
    units = [unit for unit in dict.fromkeys(units_of(find_member(MEMBER))) if unit.stage in STAGES]
    whole = [unit for unit in units if Remote(server).manifest(unit) is not None]
    check = Store(tmp_path / "check")
    for unit in whole:
        assert Remote(server).pull(check, unit), "what is there is whole"
        assert check.check_own(unit, deep=True) == ()
    for name in ("second", "first"):
        done = library(machine(tmp_path / name, monkeypatch), "run", MEMBER, *of_stages(STAGES))
        assert done.returncode == 0, done.stderr[-2000:]
        store = Store(tmp_path / name / "store")
        assert all(store.check(unit, deep=True).fresh for unit in units)
        assert not list(store.root.glob(f"*/*{PARTIAL}"))
    assert all(Remote(server).manifest(unit) == store.manifest(unit) for unit in units)
    left = {name.partition(".")[0] for name in remote.objects.sizes("leases")}
    assert left <= {f"{unit.stage}/{unit.fingerprint}" for unit in whole}, "killed between a unit's manifest and the end of its lease"


def test_a_frozen_machine_loses_its_lease_and_takes_the_bytes_of_who_took_over(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = machine(tmp_path / "first", monkeypatch), tmp_path / "second"
    run = begin(first, *of_stages(STAGES[:2]))
    with frozen_in(first, STAGES[1], run):
        done = library(machine(second, monkeypatch), "run", MEMBER, *of_stages(STAGES[:2]))
        assert done.returncode == 0, done.stderr[-2000:]
        assert "took over the lease of process" in done.stderr
    out, told = run.communicate(timeout=RUN_S)
    assert run.returncode == 0, told
    assert '"state": "computed"' in out, "it finished what it had begun"
    stores = [Store(folder / "store") for folder in (first, second)]
    for unit in (unit for unit in units_of(find_member(MEMBER)) if unit.stage in STAGES[:2]):
        assert stores[0].manifest(unit)["content"] == stores[1].manifest(unit)["content"] == (Remote(server).manifest(unit) or {})["content"]


def test_a_server_without_the_bucket_is_told_in_one_line_and_nothing_is_computed(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = machine(tmp_path / "home", monkeypatch)
    monkeypatch.setenv("IGSM_REMOTE", server.replace(BUCKET, "no-such-bucket"))
    done = library(home, "run", MEMBER, "--stage", "world")
    assert done.returncode == 2
    assert "NoSuchBucket" in done.stderr.strip().splitlines()[-1]
    assert not list((home / "store").glob("world/*/manifest.json"))
