"""Disks, files, clocks, ports: each fault is told in a sentence, costs no finished unit, and is gone after one more run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from reference.drill_tools import contents, environment, forget, frozen_in, igsm, library, lost, moved_clock, recover
from reference.staleness_events import MEMBER, first_file

pytestmark = pytest.mark.slow
DAY_S = 86400


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A mount that lasts as long as the block; skips the drill where this user may not mount."""
    folder.mkdir(exist_ok=True)
    tried = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"this user may not mount file systems here: {tried.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return [line for line in done.stderr.splitlines() if line.strip()][-1]


def test_a_disk_that_is_full_before_the_run_refuses_it_and_one_that_fills_up_stops_the_stage(home, tmp_path, diary, monkeypatch):
    small = tmp_path / "small"
    with mounted(small, "-t", "tmpfs", "-o", "size=16m", "tmpfs"):
        copy = small / "home"
        shutil.copytree(home, copy)
        monkeypatch.setenv("IGSM_HOME", str(copy))
        before = contents(copy)
        forget(copy, "token_shards")
        with (small / "ballast").open("wb") as ballast:
            ballast.write(bytes(shutil.disk_usage(small).free - 8192))
        refused = igsm(copy, "run", MEMBER)
        assert refused.returncode == 2
        assert "GB free" in refused.stderr
        stopped = library(copy, "run", MEMBER, "--stage", "token_shards")
        assert stopped.returncode == 2, stopped.stderr[-2000:]
        assert "the disk is full; free space" in last_line(stopped)
        gone = lost(before, copy, "token_shards")
        (small / "ballast").unlink()
        seconds = recover(copy, "token_shards")
    diary.write("disk full in the middle of a stage (tmpfs)", last_line(stopped), gone, seconds)
    diary.write("disk full before the run (tmpfs)", last_line(refused), gone, seconds)


def test_a_store_on_a_read_only_mount_is_refused(home, diary):
    before = contents(home)
    forget(home, "verdicts")
    with mounted(home, "--bind", str(home)):
        made = subprocess.run(["mount", "-o", "remount,bind,ro", str(home)], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            pytest.skip(f"this user may not remount: {made.stderr.strip()}")
        refused = igsm(home, "run", MEMBER)
        status = igsm(home, "status", MEMBER)
    assert refused.returncode == 2
    assert "cannot be written (Read-only file system)" in last_line(refused)
    assert status.returncode == 0, "a store that cannot be written can be read"
    diary.write("store on a read-only mount", last_line(refused), lost(before, home, "verdicts"), recover(home, "verdicts"))


@pytest.mark.parametrize("damage", ["{", "[]", ""], ids=["half a document", "another document", "an empty file"])
def test_a_corrupted_manifest_is_named_and_its_unit_made_again(home, diary, damage):
    before = contents(home)
    (first_file(home, "verdicts").parent / "manifest.json").write_text(damage)
    told = igsm(home, "plan", MEMBER)
    assert "manifest" in " ".join(told.stdout.split())
    seconds = recover(home, "verdicts")
    diary.write("corrupted manifest", "plan: manifest ... cannot be read; rerun the stage to rebuild it", lost(before, home, "verdicts"), seconds)


def test_a_cut_parquet_file_is_named_by_status_and_repaired_by_the_next_run(home, diary):
    before, path = contents(home), first_file(home, "probe_queries")
    whole = path.stat().st_size
    os.truncate(path, whole // 2)
    told = " ".join(igsm(home, "status", MEMBER, COLUMNS="240").stdout.split())
    assert f"{whole // 2} bytes instead of {whole}" in told
    seconds = recover(home, "probe_queries")
    message = f"file {path.name} has {whole // 2} bytes instead of {whole}"
    diary.write("Parquet file cut in half", message, lost(before, home, "probe_queries"), seconds)


def test_a_clock_that_was_moved_back_a_day_makes_nothing_stale(home, tmp_path, diary):
    clock = moved_clock(tmp_path, -DAY_S)
    before = contents(home)
    fresh = igsm(home, "run", MEMBER, **clock)
    assert "units are fresh" in fresh.stdout
    forget(home, "verdicts")
    started = time.monotonic()
    done = igsm(home, "run", MEMBER, "--stage", "verdicts", **clock)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "units are fresh" in igsm(home, "plan", MEMBER).stdout
    diary.write("clock moved back a day", "none: no date decides what is fresh", lost(before, home, "verdicts"), time.monotonic() - started)


def test_a_missing_dagster_home_is_made_anew(home, diary):
    before = contents(home)
    forget(home, "verdicts")
    recover(home, "verdicts")
    shutil.rmtree(home / ".dagster")
    forget(home, "verdicts")
    started = time.monotonic()
    done = igsm(home, "run", MEMBER, "--stage", "verdicts", DAGSTER_HOME="/does/not/exist")
    assert done.returncode == 0, done.stderr[-2000:]
    assert (home / ".dagster" / "dagster.yaml").exists()
    diary.write("DAGSTER_HOME missing", "none: igsm makes its own", lost(before, home, "verdicts"), time.monotonic() - started)


def test_a_taken_port_is_named_before_anything_starts(home, diary):
    before = contents(home)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = igsm(home, "ui", "--port", str(taken.getsockname()[1]))
    assert refused.returncode == 2
    assert "--port must be a free port" in last_line(refused)
    forget(home, "world")
    diary.write("port taken", last_line(refused), lost(before, home, "world"), recover(home, "world"))


def test_two_runs_of_one_member_at_once_compute_each_unit_once(home, diary):
    before = contents(home)
    forget(home, "verdicts")
    command = ["-m", "igsm_pipeline.running", "run", MEMBER, "--stage", "verdicts"]
    first, second = (start(home, command) for _ in range(2))
    with frozen_in(home, "verdicts") as writer:
        other = second if writer == first.pid else first
        told = next(line for line in iter(other.stderr.readline, b"") if b"waiting" in line).decode()
    outputs = [run.communicate(timeout=300)[0].decode() for run in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert sorted('"computed": 1' in out for out in outputs) == [False, True]
    diary.write("two runs of a member at once", told, lost(before, home, "verdicts"), recover(home, "verdicts"))


def start(home: Path, command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *command], env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
