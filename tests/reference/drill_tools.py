"""What the fault drills need: a finished member to harm, processes to kill in the middle of a stage, and the page that tells how it went."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from reference.staleness_events import MEMBER, TOY_STAGES, declare

from igsm_pipeline.defs.operating.automation import UI_URL
from igsm_pipeline.defs.operating.instance import enter_home, open_instance
from igsm_pipeline.defs.operating.ui import HOST, servers
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.planner import plan
from igsm_pipeline.store import PARTIAL, Store
from igsm_pipeline.store.origin import own_revision, processor_name

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "faults.md"
WAIT_S = 900.0
RUN_S = 900.0
PORT = 43117
HEAD = """# Fault drills

Written by `IGSM_WRITE_DOCS=1 pytest -n 0 -m slow tests/drills/test_drills_{{kills,storage}}.py`, all rows by one call: commit {commit},
{machine}, load {load}.
Each drill harms a finished member of every stage, at toy size, reads what the user is told, checks every other unit of the store by its hashes, and
runs the member again until all of it is fresh. Seconds are those of that run, start of Python and Dagster included. DATA stands for the data root.

| fault | message | lost | seconds to recover |
|---|---|---|---|
"""
FAULTS = (
    "disk full before the run (tmpfs)", "disk full in the middle of a stage (tmpfs)", "store on a read-only mount", "corrupted manifest",
    "Parquet file cut in half", "clock moved back a day", "DAGSTER_HOME missing", "port taken", "two runs of a member at once",
    *(f"kill -9 of the {victim} in {stage}" for victim in ("run", "webserver", "daemon") for stage in TOY_STAGES),
)  # fmt: skip
"""The rows of the page, in order."""


def environment(home: Path) -> dict[str, str]:
    """A user's environment: the checkout, one thread, this data root."""
    kept = {name: value for name, value in os.environ.items() if name not in ("IGSM_EXPERIMENTS", "DAGSTER_HOME", "IGSM_JOBS")}
    return kept | {"PYTHONPATH": str(ROOT), "IGSM_HOME": str(home), "OMP_NUM_THREADS": "1"}


def igsm(home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run ``igsm`` to its end."""
    command = [sys.executable, "-m", "igsm_pipeline.cli", *words]
    return subprocess.run(command, cwd=ROOT, env=environment(home) | more, capture_output=True, text=True, check=False, timeout=WAIT_S)


def library(home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m igsm_pipeline.running`` to its end."""
    command = [sys.executable, "-m", "igsm_pipeline.running", *words]
    return subprocess.run(command, cwd=ROOT, env=environment(home) | more, capture_output=True, text=True, check=False, timeout=WAIT_S)


def make_finished(home: Path) -> None:
    """A data root whose member is finished, without Dagster, and that knows how fast this machine is, so that no copy of it measures that again."""
    declare(home)
    done = library(home, "run", MEMBER)
    assert done.returncode == 0, done.stderr[-3000:]
    measured = igsm(home, "doctor", "--measure")
    assert measured.returncode == 0, measured.stderr[-3000:]


def forget(home: Path, stage: str) -> None:
    """Make a stage of the member have to be computed."""
    shutil.rmtree(home / "store" / stage)


def contents(home: Path) -> dict[str, str]:
    """Content hash of every finished unit, by its address; every file is hashed again, and a unit that is not as it says fails the drill."""
    store, found = Store(home / "store"), {}
    for unit in plan(find_member(MEMBER), store).units:
        if (store.path(unit) / "manifest.json").exists():
            assert store.check_own(unit, deep=True) == (), f"{unit.stage} {unit.name} is damaged"
            found[f"{unit.stage}/{unit.fingerprint}"] = store.manifest(unit)["content"]
    return found


def lost(before: dict[str, str], home: Path, harmed: str) -> str:
    """What is gone of the units that were finished before, the harmed stage's own work aside."""
    now = contents(home)
    gone = sorted({address.partition("/")[0] for address, content in before.items() if now.get(address) != content} - {harmed})
    return ", ".join(gone) or "nothing"


def recover(home: Path, stage: str) -> float:
    """Run the harmed stage again; seconds until all of the member is fresh, by its hashes."""
    started = time.monotonic()
    done = igsm(home, "run", MEMBER, "--stage", stage)
    assert done.returncode == 0, done.stderr[-3000:]
    seconds = time.monotonic() - started
    assert plan(find_member(MEMBER), Store(home / "store"), deep=True).stale == ()
    assert not list((home / "store").glob(f"*/*{PARTIAL}"))
    return seconds


@contextmanager
def frozen_in(home: Path, stage: str, alive: subprocess.Popen[bytes] | None = None) -> Iterator[int]:
    """Wait until a process writes a unit of a stage, and stop it there (SIGSTOP) while the block runs; yields its id."""
    folder, deadline = home / "store" / stage, time.monotonic() + WAIT_S
    while True:
        assert time.monotonic() < deadline, f"nobody came to {stage}"
        assert alive is None or alive.poll() is None, f"the run ended before it came to {stage}"
        locks = [path.with_suffix(".lock") for path in folder.glob(f"*{PARTIAL}")] if folder.exists() else []
        owners = [int(path.read_text() or 0) for path in locks if path.exists()]
        if owners and owners[0] > 0:
            break
        time.sleep(0.0005)
    os.kill(owners[0], signal.SIGSTOP)
    try:
        yield owners[0]
    finally:
        if is_alive(owners[0]):
            os.kill(owners[0], signal.SIGCONT)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ended(process: int, within_s: float = 60.0) -> bool:
    """Whether a process is gone within some seconds."""
    deadline = time.monotonic() + within_s
    while is_alive(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_alive(process)


_CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
#include <sys/time.h>
int clock_gettime(clockid_t id, struct timespec *at) {
  int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
  int status = real(id, at);
  if (id == CLOCK_REALTIME) at->tv_sec += OFFSET;
  return status;
}
time_t time(time_t *at) { struct timespec now; clock_gettime(CLOCK_REALTIME, &now); if (at) *at = now.tv_sec; return now.tv_sec; }
int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now; clock_gettime(CLOCK_REALTIME, &now); at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000; return 0;
}
"""


def moved_clock(folder: Path, seconds: int) -> dict[str, str]:
    """The environment of a process whose clock is so many seconds ahead; skips the drill where there is no C compiler to make it with."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make another clock with")
    source, made = folder / "clock.c", folder / "clock.so"
    source.write_text(_CLOCK)
    subprocess.run([compiler, "-shared", "-fPIC", f"-DOFFSET=({seconds})", "-o", str(made), str(source), "-ldl"], check=True)
    return {"LD_PRELOAD": str(made)}


class Servers:
    """Dagster's webserver and daemon of a data root, which can be killed and started again one by one."""

    def __init__(self, home: Path, **more: str) -> None:
        self.home = home
        self.environment = environment(home) | {"DAGSTER_HOME": str(home / ".dagster"), "IGSM_JOBS": "1", UI_URL: f"http://{HOST}:{PORT}"} | more
        os.environ["IGSM_HOME"] = str(home)
        self.commands = {server.name: server.command for server in servers(PORT, PORT + 1) if server.name != "mlflow"}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        with (self.home / f"{name}.log").open("ab") as log:
            command = self.commands[name]
            self.running[name] = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, process_group=0)
        deadline = time.monotonic() + WAIT_S
        while name == "dagster-webserver" and time.monotonic() < deadline:
            try:
                self.ask("{ version }")
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running[name].wait()

    def stop(self) -> None:
        for process in self.running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self.running.values():
            process.wait(timeout=120)

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"http://{HOST}:{PORT}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            return dict(json.loads(response.read())["data"])

    def launch(self, stage: str, member: str = MEMBER) -> str:
        """Launch one stage of the member as the UI does; returns the run's id."""
        selector = {
            "repositoryLocationName": "igsm_pipeline", "repositoryName": "__repository__", "jobName": "everything",
            "assetSelection": [{"path": [stage]}],
        }  # fmt: skip
        tags = [{"key": "dagster/partition", "value": member}]
        parameters = {"selector": selector, "mode": "default", "runConfigData": {}, "executionMetadata": {"tags": tags}}
        answer = self.ask(_LAUNCH, parameters=parameters)["launchRun"]
        assert "run" in answer, answer
        return str(answer["run"]["runId"])

    def status(self, run: str) -> str:
        return str(self.ask("query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run)["runOrError"]["status"])

    def settled(self, run: str) -> str:
        """How a run ended, once it has."""
        deadline = time.monotonic() + RUN_S
        while (status := self.status(run)) not in ("SUCCESS", "FAILURE", "CANCELED"):
            assert time.monotonic() < deadline, f"run {run} stays {status}"
            time.sleep(1)
        return status


@contextmanager
def served(home: Path, **more: str) -> Iterator[Servers]:
    """A webserver and a daemon on a data root that ``IGSM_HOME`` names, as long as the block runs; ``more`` is added to their environment."""
    here = Path.cwd()
    enter_home()
    open_instance().dispose()
    made = Servers(home, **more)
    try:
        made.start("dagster-webserver")
        made.start("dagster-daemon")
        yield made
    finally:
        made.stop()
        os.chdir(here)


_LAUNCH = """mutation($parameters: ExecutionParams!) { launchRun(executionParams: $parameters) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } ... on RunConfigValidationInvalid { errors { message } } } }"""


class Diary:
    """The page of the drills: one row per fault. Only a call that did all of them writes it, so that its rows are of one code and one machine."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.commit = own_revision()

    def write(self, fault: str, message: str, gone: str, seconds: float) -> None:
        """Note a drill, and write the page with the last of them if ``IGSM_WRITE_DOCS`` is set. A drill that lost something has failed."""
        assert fault in FAULTS, f"{fault} has no place on the page: add it to FAULTS"
        assert gone == "nothing", f"{fault}: lost {gone}"
        message = " ".join(message.split()).replace(os.environ["IGSM_HOME"], "DATA").replace("|", "\\|")
        self.rows[fault] = f"| {fault} | {message} | {gone} | {seconds:.0f} |"
        if os.environ.get("IGSM_WRITE_DOCS") and not self.missing():
            PAGE.write_text(self.page())

    def missing(self) -> tuple[str, ...]:
        """Faults that this call has not drilled."""
        return tuple(fault for fault in FAULTS if fault not in self.rows)

    def page(self) -> str:
        """The page as it is now."""
        machine = f"{os.cpu_count()} cores of {processor_name()}, Python {platform.python_version()}"
        return (
            HEAD.format(commit=self.commit, machine=machine, load=f"{os.getloadavg()[1]:.0f}")
            + "\n".join(self.rows[fault] for fault in FAULTS)
            + "\n"
        )
