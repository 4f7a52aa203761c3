"""A rerun is for faults that may pass; everything else is said once, by an exit code of its own."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool

import pytest

from igsm_pipeline.errors import BadSettings, StageFailed, StoreError, TransientFault
from igsm_pipeline.experiments import find_member, load_members
from igsm_pipeline.planning.planner import find_unit, usable_plans
from igsm_pipeline.running import __main__ as entry
from igsm_pipeline.running import runner
from igsm_pipeline.running.__main__ import main
from igsm_pipeline.running.faults import FAULT, REFUSED, TRANSIENT, failure_of, may_pass
from igsm_pipeline.store import Store
from igsm_pipeline.training.processes import Stopped

PASSING = [
    OSError(errno.EIO, "input/output error"), MemoryError(), BrokenProcessPool(), RuntimeError("CUDA error: an illegal memory access"),
    RuntimeError("[../third_party/gloo/pair.cc:553] Connection closed by peer [127.0.0.1]:1234"), Stopped("another process was stopped"),
    RuntimeError("The server socket has failed to listen on any local network address. port: 41321, code: -98, name: EADDRINUSE"),
    TransientFault("killed"), ConnectionResetError(errno.ECONNRESET, "reset"),
]  # fmt: skip
LASTING = [
    ValueError("x"), OSError(errno.ENOSPC, "full"), FileNotFoundError(errno.ENOENT, "gone"), RuntimeError("shapes differ"), StageFailed("diverged"),
    RuntimeError("CUDA error: out of memory"), RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    StoreError("the disk is full"), BadSettings("model.heads", "must be at least 1", 0, "correct it"),
]  # fmt: skip


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_a_fault_of_the_machine_may_pass(error):
    assert may_pass(error)


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_a_fault_of_settings_data_or_program_does_not_pass(error):
    assert not may_pass(error)


@pytest.mark.parametrize(("error", "code"), [(OSError(errno.EIO, "the disk hiccuped"), TRANSIENT), (KeyError("a bug"), FAULT)], ids=repr)
def test_the_exit_code_tells_what_may_pass_from_what_is_broken(home, monkeypatch, capsys, error, code):
    def fail(*_arguments: object, **_more: object) -> None:
        raise error

    monkeypatch.setattr(runner, "compute", fail)
    assert main(["run", "mine", "--stage", "world"]) == code
    assert "world world failed" in capsys.readouterr().err.splitlines()[-1]


def test_a_refusal_has_its_own_code_and_names_the_field(home, capsys):
    (home / "experiments" / "mine.yaml").write_text("base: mini\nmodel: {heads: 0}\n")
    assert main(["run", "mine"]) == REFUSED
    assert "mine.yaml: model.heads must hold" in capsys.readouterr().err
    assert not (home / "store").exists(), "nothing was computed before it was refused"


def test_what_a_later_stage_would_refuse_is_refused_before_the_first(home, capsys):
    (home / "experiments" / "mine.yaml").write_text("base: mini\nshards: {window: 32}\n")
    assert main(["run", "mine"]) == REFUSED
    assert "mine.yaml: shards.window must hold a training problem with its solution" in capsys.readouterr().err
    assert not (home / "store").exists()


@pytest.mark.parametrize(
    ("status", "transient"),
    [(75, True), (-signal.SIGKILL, True), (-signal.SIGSEGV, True), (1, False), (2, False), (143, True), (-15, True), (130, True)],
)
def test_a_killed_or_preempted_child_is_tried_again_and_a_refused_one_is_not(status, transient):
    assert isinstance(failure_of(status, "x"), TransientFault) == transient


def test_a_refusal_crosses_processes_whole():
    error = BadSettings("model.heads", "must be at least 1", 0, "correct it")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.field) == (BadSettings, str(error), "model.heads")


def test_a_broken_file_is_refused_by_name_and_hidden_from_nobody_else(home):
    (home / "experiments" / "broken.yaml").write_text("model: {heads: 0}\n")
    (home / "experiments" / "lost.yaml").write_text("base: mini\nworld: {source: gone.json}\n")
    assert find_member("mine").key == "mine"
    with pytest.raises(BadSettings, match=r"broken\.yaml: model\.heads"):
        find_member("broken")
    broken: dict = {}
    planned = {plan.member.key for plan in usable_plans(Store.at_home(), broken)}
    assert "mine" in planned
    assert not {"broken", "lost"} & planned
    assert {path.name for path in broken} == {"broken.yaml", "lost.yaml"}
    with pytest.raises(BadSettings):
        load_members()


def test_data_made_by_two_processes_is_that_of_one(home, tmp_path):
    (home / "experiments" / "mine.yaml").write_text("base: mini\nshards: {num_problems: 70000}\n")
    unit, contents = find_unit(find_member("mine"), "problem_sets", "train"), []
    for workers in (1, 2):
        store = Store(tmp_path / f"store {workers}")
        for each in (*unit.inputs.values(), unit):
            contents.append(runner.run_unit(each, store, workers=workers).content)
    assert contents[:2] == contents[2:]


def test_data_stages_yield_to_a_training_beside_them(home):
    code = (
        "import os, sys; from igsm_pipeline.running import __main__ as entry; sys.argv = ['x', 'run', 'mine', '--stage', sys.argv[1]];"
        "entry._run = lambda *a, **k: {}; entry.main(); print(os.nice(0))"
    )
    niceness = {}
    for stage in ("problem_sets", "checkpoint"):
        done = subprocess.run([sys.executable, "-c", code, stage], capture_output=True, text=True, check=True)
        niceness[stage] = int(done.stdout.splitlines()[-1])
    assert niceness["problem_sets"] == niceness["checkpoint"] + 10


@pytest.mark.parametrize(("gpu", "stage", "beside"), [(True, "v_probes", False), (False, "v_probes", True), (True, "verdicts", True)])
def test_units_that_would_share_a_gpu_are_computed_one_after_another(home, monkeypatch, gpu, stage, beside):
    started = []

    class Pool:
        def __init__(self, *_arguments: object, **_more: object) -> None:
            started.append(1)

        def __enter__(self):
            return self

        def __exit__(self, *_error: object) -> None:
            pass

        def map(self, *_arguments: object):
            return []

    monkeypatch.setattr(runner, "worker_pool", Pool)
    monkeypatch.setattr(runner, "run_unit", lambda *_arguments, **_more: None)
    monkeypatch.setattr(runner, "visible_cards", lambda: ("0",) if gpu else ())
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    runner.run_units(find_member("mine"), stage, Store.at_home(), jobs=4)
    assert bool(started) is beside


@pytest.mark.parametrize("before", [None, "2"])
def test_what_comes_after_units_side_by_side_has_its_threads_again(home, monkeypatch, before):
    seen = []

    class Pool:
        def __init__(self, *_arguments: object, **_more: object) -> None:
            seen.append(os.environ["OMP_NUM_THREADS"])

        def __enter__(self):
            return self

        def __exit__(self, *_error: object) -> None:
            pass

        def map(self, *_arguments: object):
            raise MemoryError

    monkeypatch.setattr(runner, "worker_pool", Pool)
    monkeypatch.setattr(runner, "visible_cards", lambda: ())
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if before is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", before)
    with pytest.raises(MemoryError):
        runner.run_units(find_member("mine"), "verdicts", Store.at_home(), jobs=2)
    assert seen == ["1"]
    assert os.environ.get("OMP_NUM_THREADS") == before


@pytest.mark.parametrize(("stage", "threads"), [("v_probes", 1), ("generations", 3)])
def test_a_unit_that_may_stand_beside_others_has_one_thread_alone_too_so_that_its_bytes_do_not_hang_on_what_else_is_stale(
    home, monkeypatch, stage, threads
):
    import torch  # noqa: PLC0415

    seen, before = [], torch.get_num_threads()
    monkeypatch.setattr(runner, "run_unit", lambda *_arguments, **_more: seen.append((torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS"))))
    monkeypatch.setattr(runner, "visible_cards", lambda: ())
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    torch.set_num_threads(3)
    try:
        runner.run_units(find_member("mine"), stage, Store.at_home(), jobs=1)
        assert set(seen) == {(threads, str(threads))}
        assert torch.get_num_threads() == 3
        assert os.environ["OMP_NUM_THREADS"] == "3"
    finally:
        torch.set_num_threads(before)


def test_a_run_that_failed_after_its_last_stage_is_not_taken_for_done(home):
    store, member = Store.at_home(), find_member("mine")
    with pytest.raises(RuntimeError), runner.unfinished(member, store):
        raise RuntimeError("the registry did not answer")
    assert runner.is_unfinished(member, store)
    with runner.unfinished(member, store):
        pass
    assert not runner.is_unfinished(member, store)


def test_on_gpus_every_stage_that_computes_on_one_has_a_process_of_its_own(home, monkeypatch, capsys):
    """CUDA is bound to the first card that a process uses, so a later lease of another card would not bind it."""
    commands: list[list[str]] = []
    monkeypatch.setattr(entry, "run_command", lambda command, **_how: commands.append(command))
    monkeypatch.setattr(entry, "_run", lambda member, stage, *_rest: {"here": stage})
    monkeypatch.setattr(entry, "visible_cards", lambda: ("0", "1"))
    stages = ["problem_sets", "checkpoint", "generations", "verdicts"]
    assert main(["run", "mine", "--jobs", "3", *(word for stage in stages for word in ("--stage", stage))]) == 0
    assert [command[3:] for command in commands] == [
        ["run", "mine", "--stage", stage, "--jobs", "3", "--checks", "stop"] for stage in ("checkpoint", "generations")
    ]
    assert main(["run", "mine", "--stage", "checkpoint"]) == 0
    assert len(commands) == 2, "a single stage has the process anyway"
    monkeypatch.setattr(entry, "visible_cards", tuple)
    assert main(["run", "mine", "--stage", "checkpoint", "--stage", "generations"]) == 0
    assert len(commands) == 2
    told = [json.loads(line)["here"] for line in capsys.readouterr().out.splitlines()]
    assert told == ["problem_sets", "verdicts", "checkpoint", "checkpoint", "generations"]
