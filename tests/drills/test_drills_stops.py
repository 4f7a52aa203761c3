"""Every stop signal in every kind of stage by every route: it ends within seconds, as canceled, and a rerun gives the same bytes."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from reference.drill_tools import ended, environment, library, served
from reference.stop_tools import Terminal, igsm_command, in_terminal, library_command, until

from igsm_pipeline.defs.operating.instance import enter_home, open_instance
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.store import PARTIAL, Store

pytestmark = pytest.mark.slow
MEMBER, LIMIT_S = "stopped", 10.0
EXPERIMENT = """
title: every kind of stage takes long enough to be stopped in the middle
world: {source: mini}
family: {op_max: 3, ip_max: 4, modulus: 5, op_law: uniform, split_by: problem}
tokens: {segmentation: phrase}
shards: {num_problems: 80000, window: 128}
model: {layers: 2, heads: 2, head_width: 16, partial_rotary_factor: 0.5}
training: {num_steps: 120, batch_windows: 8, warmup_steps: 2, checkpoint_every_steps: 1000, accuracy_every_steps: 40, precision: fp32}
evaluation: {num_problems: 160, problems_per_op: 8, monitor_per_op: 4, max_tokens: 160, slices: ["op<=max"]}
probes: {tasks: [nece, value], slices: ["op<=max"], num_problems: 64, num_steps: 900, batch_problems: 8, per_problem: 4, starts: 1}
"""


@dataclass(frozen=True)
class Kind:
    """A kind of stage: which one stands for it, and in how many processes it computes."""

    name: str
    stage: str
    jobs: int


KINDS = (
    Kind("one process", "problem_sets", 1),
    Kind("data workers", "token_shards", 2),
    Kind("torch, training", "checkpoint", 1),
    Kind("torch, decoding", "generations", 1),
    Kind("torch, several side by side", "v_probes", 2),
)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(scope="module")
def home(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data root whose member is finished up to the probes, to be stopped in."""
    kept = pytestconfig.cache.mkdir("stopped")
    (kept / "experiments").mkdir(exist_ok=True)
    (kept / "experiments" / f"{MEMBER}.yaml").write_text(EXPERIMENT)
    stages = ["world", "problem_sets", "token_shards", "checkpoint", "generations", "control", "probe_queries", "v_probes"]
    with (kept / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = library(kept, "run", MEMBER, *(word for stage in stages for word in ("--stage", stage)))
        assert done.returncode == 0, done.stderr[-3000:]
    copy = tmp_path_factory.mktemp("stops") / "home"
    shutil.copytree(kept, copy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IGSM_HOME", str(copy))
        patch.delenv("IGSM_EXPERIMENTS", raising=False)
        yield copy


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """The rows of the drills, printed at the end, and written where ``IGSM_STOP_TABLE`` says."""
    rows = ["| signal | route | stage | exit code | seconds until nothing is left | bytes of the rerun equal |", "|---|---|---|---|---|---|"]
    yield rows
    print("\n" + "\n".join(rows))


def note(table: list[str], *cells: object) -> None:
    table.append("| " + " | ".join(map(str, cells)) + " |")
    if named := os.environ.get("IGSM_STOP_TABLE"):
        Path(named).write_text("\n".join(table) + "\n")


def contents_of(home: Path, stage: str) -> dict[str, str]:
    store = Store(home / "store")
    units = [unit for unit in units_of(find_member(MEMBER)) if unit.stage == stage]
    assert all(store.check(unit, deep=True).fresh for unit in units)
    return {unit.fingerprint: store.manifest(unit)["content"] for unit in units}


def taken_out(home: Path, stage: str, jobs: int = 1) -> dict[str, str]:
    """Remove a stage; returns its contents. What a failed drill left undone is computed before, so that one failure stays one."""
    before = rerun(home, stage, jobs)
    shutil.rmtree(home / "store" / stage)
    return before


def in_the_middle(home: Path, stage: str, terminal: Terminal | None = None) -> None:
    """Wait until a stage is under way, its imports and first steps behind it."""
    folder = home / "store" / stage

    def working() -> bool:
        assert terminal is None or terminal.process.poll() is None, terminal.text()[-2000:]
        return any(any(part.iterdir()) for part in folder.glob(f"*{PARTIAL}"))

    if stage in ("checkpoint", "v_probes") and terminal is not None:
        until(lambda: working_bar(terminal, "tok/s" if stage == "checkpoint" else "step/s"), f"{stage} has begun", 300)
    else:
        until(lambda: folder.exists() and any(folder.glob(f"*{PARTIAL}")), f"{stage} has begun", 300)
    time.sleep(1.0)
    assert working() or any(folder.glob(f"*{PARTIAL}")), f"{stage} was over before it could be stopped"


def working_bar(terminal: Terminal, unit: str) -> bool:
    assert terminal.process.poll() is None, terminal.text()[-2000:]
    return unit in terminal.text().replace("?" + unit.partition("/")[0], "")


def send(terminal: Terminal, number: signal.Signals) -> None:
    if number == signal.SIGINT:
        terminal.key()
    elif number == signal.SIGHUP:
        terminal.close()
    else:
        os.kill(terminal.process.pid, number)


def last_run(home: Path) -> tuple[str, list[str]]:
    """How Dagster has the last run, and what happened in it."""
    enter_home()
    with open_instance() as instance:
        (run,) = instance.get_runs(limit=1)
        events = [entry.dagster_event.event_type_value for entry in instance.all_logs(run.run_id) if entry.dagster_event]
    return run.status.value, events


def rerun(home: Path, stage: str, jobs: int) -> dict[str, str]:
    done = library(home, "run", MEMBER, "--stage", stage, "--jobs", str(jobs))
    assert done.returncode == 0, done.stderr[-3000:]
    return contents_of(home, stage)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.stage)
@pytest.mark.parametrize("route", ["igsm run", "python -m igsm_pipeline.running run"])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_one_signal_ends_a_run_in_seconds_and_a_rerun_gives_the_same_bytes(home, table, kind, route, number):
    before = taken_out(home, kind.stage, kind.jobs)
    words = ("run", MEMBER, "--stage", kind.stage, "--jobs", str(kind.jobs))
    command = igsm_command(*words) if route == "igsm run" else library_command(*words)
    with in_terminal(command, environment(home)) as terminal:
        in_the_middle(home, kind.stage, terminal)
        terminal.family()
        send(terminal, number)
        seconds = until(lambda: not terminal.alive(), f"{kind.stage} goes on after {number.name}", 90)
        code, said = terminal.process.wait(), terminal.text()
    assert "Traceback" not in said
    if route == "igsm run":
        status, events = last_run(home)
        assert status == "CANCELED"
        assert "STEP_UP_FOR_RETRY" not in events
    if number != signal.SIGHUP:  # whose terminal is gone
        assert said.count("stopped by") == 1, said[-2000:]
    equal = rerun(home, kind.stage, kind.jobs) == before
    note(table, number.name, route, f"{kind.stage} ({kind.name})", code, f"{seconds:.1f}", "yes" if equal else "NO")
    assert code == 128 + number
    assert equal
    assert seconds < LIMIT_S


def test_a_second_ctrl_c_ends_it_at_once(home, table):
    kind = next(kind for kind in KINDS if kind.stage == "v_probes")
    before = taken_out(home, kind.stage, kind.jobs)
    with in_terminal(igsm_command("run", MEMBER, "--stage", kind.stage, "--jobs", "2"), environment(home)) as terminal:
        in_the_middle(home, kind.stage, terminal)
        terminal.family()
        terminal.key()
        time.sleep(0.5)
        terminal.key()
        seconds = until(lambda: not terminal.alive(), "two signals and it goes on", 90)
        code = terminal.process.wait()
    equal = rerun(home, kind.stage, kind.jobs) == before
    note(table, "SIGINT twice", "igsm run", f"{kind.stage} ({kind.name})", code, f"{seconds:.1f}", "yes" if equal else "NO")
    assert (code, seconds < 5.0, equal) == (130, True, True)


def test_a_preempted_child_saves_its_state_and_is_started_again_by_the_run(home, table):
    before = taken_out(home, "checkpoint")
    with in_terminal(igsm_command("run", MEMBER, "--stage", "checkpoint"), environment(home)) as terminal:
        in_the_middle(home, "checkpoint", terminal)
        child = next(one for one in terminal.family() if "igsm_pipeline.running" in one.cmdline())
        child.send_signal(signal.SIGTERM)
        seconds = until(lambda: terminal.process.poll() is not None, "the retried run ends", 600)
        code = terminal.process.wait()
    status, events = last_run(home)
    equal = contents_of(home, "checkpoint") == before
    note(table, "SIGTERM to the child", "igsm run", "checkpoint (torch, training)", f"{code}, {status}", f"{seconds:.1f} (retried)", equal)
    assert (code, status, equal, events.count("STEP_UP_FOR_RETRY")) == (0, "SUCCESS", True, 1)


def test_the_pages_terminate_cancels_a_run_in_every_kind_of_stage(home, table):
    with served(home, IGSM_JOBS="2") as servers:
        for kind in KINDS:
            before = taken_out(home, kind.stage, kind.jobs)
            run = servers.launch(kind.stage, MEMBER)
            in_the_middle(home, kind.stage)
            (lock, *_) = (home / "store" / kind.stage).glob("*.lock")
            child, started = int(lock.read_text() or 0), time.monotonic()
            answer = servers.ask("mutation($id: String!) { terminateRun(runId: $id) { __typename } }", id=run)
            assert answer["terminateRun"]["__typename"] == "TerminateRunSuccess"
            assert ended(child, 90), "the stage goes on"
            status, seconds = servers.settled(run), time.monotonic() - started
            equal = rerun(home, kind.stage, kind.jobs) == before
            note(table, "Terminate", "page", f"{kind.stage} ({kind.name})", status, f"{seconds:.1f}", "yes" if equal else "NO")
            assert (status, equal) == ("CANCELED", True)


def test_a_command_that_only_makes_data_ends_by_a_signal_without_a_traceback(tmp_path):
    out = tmp_path / "many.jsonl"
    with in_terminal(igsm_command("generate", "--num", "3000000", "--out", str(out)), environment(tmp_path)) as terminal:
        until(lambda: any(tmp_path.iterdir()) or terminal.process.poll() is not None, "rows are written", 120)
        time.sleep(1.0)
        terminal.key()
        until(lambda: not terminal.alive(), "it goes on", 90)
        assert terminal.process.wait() == 130
    assert "Traceback" not in terminal.text()
    assert subprocess.run(["ls", str(out)], capture_output=True, check=False).returncode != 0, "half a file is no file"
