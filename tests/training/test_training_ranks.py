"""Several processes train one checkpoint: the losses of one process, one set of files, nobody left behind."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from test_training_stream import settings_of, stream_of, write_inputs

from igsm_pipeline.errors import BadSettings, TransientFault
from igsm_pipeline.running.faults import TRANSIENT
from igsm_pipeline.store import Writing
from igsm_pipeline.training import other_rank, ranks
from igsm_pipeline.training import processes as joined
from igsm_pipeline.training.curves import read_metrics
from igsm_pipeline.training.processes import Ranks
from igsm_pipeline.training.ranks import joined_by_others, num_processes
from igsm_pipeline.training.settings import CheckpointSettings, TrainingSettings
from igsm_pipeline.training.write import write_checkpoint


def with_processes(settings: CheckpointSettings, processes: int) -> CheckpointSettings:
    return settings.model_copy(update={"training": settings.training.model_copy(update={"processes": processes})})


def test_the_number_of_processes_is_no_part_of_what_a_checkpoint_is() -> None:
    one, two = (with_processes(settings_of(stream_of()), number) for number in (1, 2))
    assert one.fingerprint() == two.fingerprint()
    assert num_processes(TrainingSettings(processes=0)) == max(1, torch.cuda.device_count())


def test_one_process_is_left_as_it_is(tmp_path: Path) -> None:
    before = dict(os.environ)
    with joined_by_others(settings_of(None), {}, tmp_path):
        assert dict(os.environ) == before


@pytest.mark.slow
def test_two_processes_write_the_checkpoint_of_one(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    inputs = write_inputs(tmp_path, 1)
    before, curves = dict(os.environ), []
    for processes in (1, 2):
        folder = tmp_path / f"processes-{processes}"
        folder.mkdir()
        writing = Writing(folder, False)
        write_checkpoint(with_processes(settings_of(stream_of(), 20), processes), inputs, writing)
        curves.append([(row["loss"], row["tokens"]) for row in read_metrics(folder)])
        assert writing.counts["steps"] == 20
        assert (folder / "model.safetensors").is_file()
    assert dict(os.environ) == before
    assert len(curves[0]) == len(curves[1]) == 20, "only the first process writes"
    assert [tokens for _, tokens in curves[0]] == [tokens for _, tokens in curves[1]]
    np.testing.assert_allclose([loss for loss, _ in curves[1]], [loss for loss, _ in curves[0]], rtol=1e-5)


@pytest.mark.slow
def test_when_the_first_fails_the_others_are_ended(tmp_path: Path) -> None:
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    before = set(listed.read_text().split())
    with pytest.raises(ZeroDivisionError), joined_by_others(with_processes(settings_of(None), 3), {"world": tmp_path}, tmp_path):
        assert len(set(listed.read_text().split()) - before) == 2
        raise ZeroDivisionError
    assert "WORLD_SIZE" not in os.environ
    assert set(listed.read_text().split()) <= before


def test_where_the_last_of_the_others_cannot_be_started_the_first_ones_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started, before = [], dict(os.environ)

    class Process:
        def __init__(self, *_command: object, **_how: object) -> None:
            if started:
                raise OSError("no more processes")
            self.stdin, self.ended = io.BytesIO(), []
            started.append(self)

        def kill(self) -> None:
            self.ended.append("killed")

        def wait(self, timeout: float | None = None) -> None:
            self.ended.append("waited for")

        def poll(self) -> None:
            return None

    monkeypatch.setattr("igsm_pipeline.training.ranks.subprocess.Popen", Process)
    with pytest.raises(OSError, match="no more processes"), joined_by_others(with_processes(settings_of(None), 3), {"world": tmp_path}, tmp_path):
        raise AssertionError("the training began without the others")
    assert [one.ended for one in started] == [["killed", "waited for"]]
    assert dict(os.environ) == before


class Child:
    """Stands for another process of a training that has ended with a status, or runs (None)."""

    def __init__(self, returncode: int | None) -> None:
        self.returncode, self.killed = returncode, False

    def poll(self) -> int | None:
        return self.returncode

    def kill(self) -> None:
        self.killed = True


@pytest.mark.parametrize(("status", "how"), [(-9, "was killed by SIGKILL"), (1, "ended with status 1")])
def test_a_first_process_that_does_not_notice_that_it_lost_another_is_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: int, how: str
) -> None:
    ends: list[int] = []
    monkeypatch.setattr(ranks, "WATCHED_S", 0.01)
    monkeypatch.setattr(ranks, "GRACE_S", 0.01)
    monkeypatch.setattr(ranks.os, "_exit", ends.append)
    children = [Child(None), Child(status)]
    ranks._watch(children, threading.Event())  # type: ignore[arg-type]
    assert ends == [TRANSIENT]
    assert all(child.killed for child in children)
    assert f"process 2 of the 3 that train together {how}" in capsys.readouterr().err


def test_one_that_notices_is_left_to_report_it_and_a_good_end_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[int] = []
    monkeypatch.setattr(ranks, "WATCHED_S", 0.01)
    monkeypatch.setattr(ranks.os, "_exit", ends.append)
    for children in ([Child(1)], [Child(0)], [Child(None)]):
        ended = threading.Event()
        watch = threading.Thread(target=ranks._watch, args=(children, ended))
        watch.start()
        time.sleep(0.1)
        ended.set()
        watch.join(timeout=60)
        assert not watch.is_alive()
    assert ends == []


def test_more_processes_than_cards_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    settings = with_processes(settings_of(None), 3)
    settings = settings.model_copy(update={"training": settings.training.model_copy(update={"device": "auto"})})
    refusal = r"training\.processes must be at most 2, the GPUs that this process sees, got 3; use 0"
    with pytest.raises(BadSettings, match=refusal), joined_by_others(settings, {}, tmp_path):
        pass


@pytest.mark.parametrize(("error", "left"), [(None, True), (joined.Stopped("asked to"), True), (OSError(28, "disk full"), False)])
def test_a_process_that_alone_has_an_error_does_not_wait_for_the_others_to_leave(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None, left: bool
) -> None:
    calls: list[str] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setattr(joined, "pick_device", lambda *_: torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **_: calls.append(backend))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: calls.append("left"))
    with pytest.raises(type(error)) if error else contextlib.nullcontext(), joined.joined_ranks("auto"):
        if error:
            raise error
    assert calls == (["nccl", "left"] if left else ["nccl"])


def test_another_process_that_fails_says_why_and_ends_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "disk full")

    work = {"settings": settings_of(stream_of()).model_dump(mode="json"), "inputs": {}, "folder": "nowhere"}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(work)))
    monkeypatch.setattr(other_rank, "write_checkpoint", fail)
    monkeypatch.setattr(other_rank, "leave", lambda code: (_ for _ in ()).throw(SystemExit(code)))
    with pytest.raises(SystemExit) as ended:
        other_rank.main()
    assert ended.value.code == 1
    assert "disk full" in capsys.readouterr().err


def test_every_process_has_a_window_of_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    found = [num_processes(TrainingSettings(processes=0, batch_windows=windows)) for windows in (4, 8, 24)]
    assert found == [4, 8, 8]


@pytest.mark.parametrize(("mine", "others"), [(10, 20), (20, 10), (10, 10)])
def test_processes_that_resume_after_different_steps_do_not_train_on(monkeypatch: pytest.MonkeyPatch, mine: int, others: int) -> None:
    def reduced(tensor: torch.Tensor, op: object) -> None:
        assert op == dist.ReduceOp.MAX
        tensor.copy_(torch.maximum(tensor, torch.tensor([others, -others], dtype=tensor.dtype)))

    monkeypatch.setattr(joined.dist, "all_reduce", reduced)
    both = Ranks(0, 2, torch.device("cpu"))
    if mine == others:
        joined.check_same_step(mine, both)
        return
    with pytest.raises(TransientFault, match="resume after different steps, 10 and 20"):
        joined.check_same_step(mine, both)
