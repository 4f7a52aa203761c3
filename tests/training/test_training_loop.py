"""The loop: resumed runs equal unbroken ones bit for bit, damaged states are passed over, processes share one batch."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from igsm_pipeline.errors import StageFailed
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.training import loop
from igsm_pipeline.training import state as states
from igsm_pipeline.training.curves import METRICS, MetricsLog, read_metrics
from igsm_pipeline.training.loop import Specials, look_at_accuracy, train
from igsm_pipeline.training.optimizers import learning_rate
from igsm_pipeline.training.processes import Stopped
from igsm_pipeline.training.settings import TrainingSettings

SEED = 11
VOCAB, WINDOW = 31, 24


class Counting:
    """Windows of counting sequences with random starts, strides and lengths."""

    num_windows, window = 40, WINDOW

    def __init__(self) -> None:
        rng = np.random.default_rng(SEED)
        starts, strides = rng.integers(0, VOCAB, (40, 1)), rng.integers(1, 4, (40, 1))
        self.ids = ((starts + strides * np.arange(WINDOW)) % VOCAB).astype(np.uint16)
        self.lengths = rng.integers(WINDOW // 2, WINDOW + 1, 40)

    def read(self, indices: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        return self.ids[indices], self.lengths[indices]


def settings_of(**changes: Any) -> TrainingSettings:
    plain = {"num_steps": 12, "batch_windows": 6, "warmup_steps": 3, "precision": "fp32", "device": "cpu", "micro_batch": 4}
    watch = {"log_every_steps": 1, "checkpoint_every_steps": 2, "accuracy_every_steps": 0}
    return TrainingSettings.model_validate({**plain, **watch, **changes})


def run(folder: Path, settings: TrainingSettings, dropout: float = 0.0, threads: int = 1) -> dict[str, torch.Tensor]:
    torch.set_num_threads(threads)
    model = gpt2_rotary.build(ModelSettings(layers=2, heads=2, head_width=16, partial_rotary_factor=0.5, dropout=dropout), VOCAB, WINDOW, SEED)
    train(model, Counting(), settings, folder)
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def losses(folder: Path) -> list[tuple[int, float]]:
    return [(row["step"], row["loss"]) for row in read_metrics(folder)]


def assert_equal(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(("optimizer", "dropout"), [("adamw", 0.0), ("muon", 0.1)])
def test_killed_at_any_moment_it_resumes_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str, dropout: float) -> None:
    settings = settings_of(optimizer=optimizer)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    wanted = run(whole, settings, dropout)
    rng = np.random.default_rng(SEED)
    kills = 0

    class Kill(BaseException):
        """Stands for a kill: nothing that handles errors sees it."""

    for name in ("save", "_write", "_sync", "hash_file"):
        calls, last = 0, int(rng.integers(1, 6))
        plain = getattr(states, name)

        def die(*args: Any, _plain: Any = plain, _last: int = last, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == _last:
                raise Kill
            return _plain(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(states, name, die)
            try:
                run(broken, settings, dropout)
            except Kill:
                kills += 1
    assert kills >= 3
    assert_equal(run(broken, settings, dropout), wanted)
    assert losses(broken) == losses(whole)


def command(folder: Path, settings: TrainingSettings) -> list[str]:
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import {Path(__file__).stem} as t; from pathlib import Path\n"
    program += f"t.run(Path({str(folder)!r}), t.TrainingSettings.model_validate_json({settings.model_dump_json()!r}))"
    return [sys.executable, "-c", program]


def test_a_real_kill_leaves_a_run_that_resumes_bit_for_bit(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    settings = settings_of(num_steps=120, log_every_steps=10, checkpoint_every_steps=10)
    with subprocess.Popen(command(broken, settings), stderr=subprocess.DEVNULL) as child:
        end = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < end and not list((broken / "state").glob("step-*/state.json")):
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert child.returncode == -signal.SIGKILL
    found, wanted = run(broken, settings), run(whole, settings)
    assert_equal(found, wanted)
    assert losses(broken) == losses(whole)


DAMAGES = ["truncate", "flip", "remove", "json", "step", "tokens", "null", "deep", "words for hashes", "no hashes", "no checksum"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_state_gives_way_to_the_one_before(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    settings = settings_of()
    wanted = run(tmp_path, settings)
    newest = sorted((tmp_path / "state").glob("step-*"))[-1]
    file = newest / ("optimizer.safetensors" if damage in ("truncate", "flip", "remove") else "state.json")
    data = bytearray(file.read_bytes())
    data[-5] ^= 0xFF
    if damage == "remove":
        file.unlink()
    elif damage in ("null", "deep"):
        file.write_text("null" if damage == "null" else "[" * 200_000)
    elif damage in ("words for hashes", "no hashes"):
        values = json.loads(file.read_text())
        values["sha256"] = "as they are" if damage == "words for hashes" else {}
        file.write_text(json.dumps({**values, "checksum": states._checksum(values)}))
        os.truncate(newest / "optimizer.safetensors", 100)
    elif damage in ("step", "tokens", "no checksum"):
        values = json.loads(file.read_text())
        values["tokens" if damage == "no checksum" else damage] = 999
        if damage == "no checksum":
            del values["checksum"]
        elif damage == "step":
            values["checksum"] = states._checksum(values)
        file.write_text(json.dumps(values))
    else:
        file.write_bytes(bytes(data) if damage == "flip" else data[: len(data) // 2])
    with caplog.at_level(logging.INFO):
        assert_equal(run(tmp_path, settings), wanted)
    assert newest.name in caplog.text
    assert "resumes after step 10" in caplog.text


def test_a_state_that_cannot_be_read_now_is_kept_for_a_rerun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of()
    run(tmp_path, settings)

    def stale(path: Path) -> str:
        raise OSError(errno.ESTALE, "Stale file handle", str(path))

    with monkeypatch.context() as patch, pytest.raises(OSError, match="Stale file handle"):
        patch.setattr(states, "hash_file", stale)
        run(tmp_path, settings)
    assert "cannot be read" in caplog.text
    assert [path.name for path in sorted((tmp_path / "state").iterdir())] == ["step-000000010", "step-000000012"]


def test_two_states_are_kept_and_nothing_in_them_is_a_pickle(tmp_path: Path) -> None:
    run(tmp_path, settings_of())
    assert [path.name for path in sorted((tmp_path / "state").iterdir())] == ["step-000000010", "step-000000012"]
    assert {path.suffix for path in (tmp_path / "state").rglob("*") if path.is_file()} == {".safetensors", ".json"}


def test_the_cut_into_micro_batches_changes_rounding_only(tmp_path: Path) -> None:
    curves = []
    for size in (1, 4, 6):
        folder = tmp_path / str(size)
        folder.mkdir()
        run(folder, settings_of(micro_batch=size))
        curves.append([loss for _, loss in losses(folder)])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)
    np.testing.assert_allclose(curves[0], curves[2], rtol=1e-4)
    assert curves[0][-1] < curves[0][0]


def test_a_repeated_training_repeats_its_metrics_to_the_byte(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        run(tmp_path / name, settings_of())
    assert (tmp_path / "first" / METRICS).read_bytes() == (tmp_path / "second" / METRICS).read_bytes()
    assert all(row["tokens_per_s"] > 0 for row in read_metrics(tmp_path / "first"))


class Stopping(Counting):
    """``Counting`` that sends SIGTERM to its own process with one of its reads."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.reads = at, 0

    def read(self, indices: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        self.reads += 1
        if self.reads == self.at:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().read(indices)


@pytest.fixture
def sigterm() -> Iterator[None]:
    """A SIGTERM that nobody remembers harms nobody."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGTERM, before)


def small_model() -> PreTrainedModel:
    torch.set_num_threads(1)
    return gpt2_rotary.build(ModelSettings(layers=1, heads=2, head_width=16, partial_rotary_factor=0.5), VOCAB, WINDOW, SEED)


def test_a_signal_saves_the_state_and_stops(tmp_path: Path, sigterm: None) -> None:
    settings = settings_of(checkpoint_every_steps=100)
    with pytest.raises(Stopped, match="rerun resumes"):
        train(small_model(), Stopping(4), settings, tmp_path)
    (saved,) = (tmp_path / "state").glob("step-*")
    assert 1 <= json.loads((saved / "state.json").read_text())["step"] < settings.num_steps


def test_a_row_over_steps_before_and_after_a_stop_is_that_of_an_unbroken_run(tmp_path: Path, sigterm: None) -> None:
    settings = settings_of(checkpoint_every_steps=100, log_every_steps=6)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    train(small_model(), Counting(), settings, whole)
    with pytest.raises(Stopped):
        train(small_model(), Stopping(3), settings, broken)
    (saved,) = (broken / "state").glob("step-*")
    done = json.loads((saved / "state.json").read_text())["step"]
    assert 1 <= done < settings.log_every_steps, "the stop comes between two rows"
    train(small_model(), Counting(), settings, broken)
    columns = ("step", "loss", "tokens", "lr", "grad_norm")
    assert [[row[name] for name in columns] for row in read_metrics(broken)] == [[row[name] for name in columns] for row in read_metrics(whole)]


def test_a_row_tells_the_rate_of_its_last_step(tmp_path: Path) -> None:
    settings = settings_of()
    train(small_model(), Counting(), settings, tmp_path)
    rates = [row["lr"] for row in read_metrics(tmp_path)]
    assert rates[:4] == pytest.approx([settings.learning_rate * share for share in (1 / 3, 2 / 3, 1, 1)]), "the warm-up takes three steps"
    assert rates == [learning_rate(step, settings) for step in range(settings.num_steps)]


@pytest.mark.parametrize("stop_at", [4, 12])
def test_a_stop_while_it_looks_at_the_accuracy_makes_a_rerun_look_first(tmp_path: Path, sigterm: None, stop_at: int) -> None:
    settings = settings_of(checkpoint_every_steps=100, accuracy_every_steps=4)
    looks: list[int] = []

    def monitor(_model: PreTrainedModel) -> dict[str, dict[str, list[int]]]:
        looks.append(len(looks))
        if len(looks) == stop_at // 4:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)
        return {"accuracy": {"1": [1, 1]}}

    with pytest.raises(Stopped, match=f"after step {stop_at} of 12"):
        train(small_model(), Counting(), settings, tmp_path, monitor=monitor)
    assert [row["step"] for row in read_metrics(tmp_path) if "accuracy" in row] == list(range(4, stop_at, 4))
    assert train(small_model(), Counting(), settings, tmp_path, monitor=monitor)["resumed_step"] == stop_at
    assert [row["step"] for row in read_metrics(tmp_path) if "accuracy" in row] == [4, 8, 12]
    assert len(looks) == 4, "the look that was stopped is the only one that was repeated"


@pytest.mark.parametrize("which", ["solution", "all but taken back"])
def test_the_loss_is_that_of_the_tokens_that_are_to_be_learned(tmp_path: Path, which: str) -> None:
    marker, eos = 5, 7
    settings = settings_of(num_steps=1, batch_windows=40, micro_batch=40, loss_on="solution" if which == "solution" else "all")
    data, model = Counting(), small_model()
    wanted = reference_loss(model, data, lambda row, at: behind(row, at, marker, eos) if which == "solution" else row[at] % 3 != 0)
    plain = reference_loss(model, data, lambda row, at: True)
    unlearned = None if which == "solution" else lambda windows: windows % 3 == 0
    train(model, data, settings, tmp_path, specials=Specials(marker, eos), unlearned=unlearned)
    assert losses(tmp_path)[0][1] == pytest.approx(wanted, rel=1e-5)
    assert abs(wanted - plain) > 1e-3


def behind(row: NDArray[Any], at: int, marker: int, eos: int) -> bool:
    """Whether a token comes after a marker that no end of text follows."""
    before = row[:at].tolist()
    return marker in before and eos not in before[len(before) - before[::-1].index(marker) :]


@torch.no_grad()
def reference_loss(model: PreTrainedModel, data: Counting, learned: Callable[[NDArray[Any], int], bool]) -> float:
    """The mean of the losses of single tokens, window by window."""
    found = []
    for row, length in zip(data.ids, data.lengths, strict=True):
        logs = model(torch.from_numpy(row[None].astype(np.int64))).logits[0].log_softmax(-1)
        found += [-float(logs[at - 1, int(row[at])]) for at in range(1, length) if learned(row, at)]
    return float(np.mean(found))


def test_a_model_learns_on_after_a_look_that_broke_off(tmp_path: Path) -> None:
    model = small_model()

    def monitor(_model: PreTrainedModel) -> dict[str, dict[str, list[int]]]:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        look_at_accuracy(model.train(), 1, monitor, MetricsLog(tmp_path, 0))
    assert model.training


def test_a_stop_after_the_last_step_and_its_look_has_nothing_to_stop(tmp_path: Path, sigterm: None) -> None:
    def monitor(_model: PreTrainedModel) -> dict[str, dict[str, list[int]]]:
        return {"accuracy": {"1": [1, 1]}}

    settings = settings_of(accuracy_every_steps=100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "agreed_stop", lambda stop, ranks: read_metrics(tmp_path)[-1]["step"] == settings.num_steps)
        assert train(small_model(), Counting(), settings, tmp_path, monitor=monitor)["steps"] == settings.num_steps


def test_a_state_is_saved_by_minutes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(checkpoint_every_steps=100)
    train(small_model(), Counting(), settings, tmp_path)
    assert len(list((tmp_path / "state").glob("step-*"))) == 1
    (tmp_path / "often").mkdir()
    monkeypatch.setattr(loop, "SAVE_EVERY_S", -1.0)
    train(small_model(), Counting(), settings, tmp_path / "often")
    assert [path.name for path in sorted((tmp_path / "often" / "state").iterdir())] == ["step-000000011", "step-000000012"]


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    model = small_model()
    with torch.no_grad():
        model.gpt_neox.embed_in.weight[:] = float("nan")
    with pytest.raises(StageFailed, match="diverged at step 1"):
        train(model, Counting(), settings_of(), tmp_path)
    assert not (tmp_path / "state").exists()
    assert ["diverged" in row["warning"] for row in read_metrics(tmp_path)] == [True], "whoever looks at the curves later sees why they end"


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_full_disk_stops_the_run_and_keeps_the_last_whole_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    settings = settings_of()
    plain, calls = states._write, 0

    def full(path: Path, data: bytes) -> str:
        nonlocal calls
        calls += path.name == file
        if calls == 3:
            path.write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return plain(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(states, "_write", full)
        with pytest.raises(OSError, match="No space left"):
            run(tmp_path, settings)
    assert "after step 6 cannot be written" in caplog.text
    assert [path.name for path in sorted((tmp_path / "state").iterdir())] == ["step-000000002", "step-000000004"]
    (tmp_path / "whole").mkdir()
    with caplog.at_level(logging.INFO):
        found = run(tmp_path, settings)
    assert "resumes after step 4" in caplog.text
    assert_equal(found, run(tmp_path / "whole", settings))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_weights_do_not_depend_on_how_many_micro_batches_run_side_by_side(optimizer: str, tmp_path: Path) -> None:
    settings = settings_of(optimizer=optimizer, micro_batch=1)
    for name in ("one", "three"):
        (tmp_path / name).mkdir()
    one = run(tmp_path / "one", settings)
    three = run(tmp_path / "three", settings, threads=3)
    torch.set_num_threads(1)
    print(f"seed {SEED}")
    for name, parameter in one.items():
        assert torch.equal(parameter, three[name]), name
