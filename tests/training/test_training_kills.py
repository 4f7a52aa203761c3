"""Slow: real kills at random moments, a disk that is really full, and two processes, against runs that nothing disturbed."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from reference.servers import free_port
from safetensors.torch import save
from test_training_loop import Counting, losses, settings_of

from igsm_pipeline.errors import StoreError
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.store import Store, Unit
from igsm_pipeline.training.curves import read_metrics
from igsm_pipeline.training.loop import train
from igsm_pipeline.training.settings import TrainingSettings

pytestmark = pytest.mark.slow
SEED = 2026
ROWS = 4096
"""Rows of the embedding: more than the data use, so that a state takes a while to write."""


def run(folder: Path, settings: TrainingSettings) -> str:
    """Train and return the hash of the final weights."""
    torch.set_num_threads(1)
    model = gpt2_rotary.build(ModelSettings(layers=2, heads=2, head_width=32, partial_rotary_factor=0.5, dropout=0.1), ROWS, 24, SEED)
    train(model, Counting(), settings, folder)
    return hash_of(model)


def hash_of(model: torch.nn.Module) -> str:
    return hashlib.sha256(save({name: parameter.detach() for name, parameter in model.named_parameters()})).hexdigest()


def start(folder: Path, settings: TrainingSettings, *launcher: str, function: str = "run") -> subprocess.Popen[bytes]:
    program = folder.with_name(f"{folder.name}.py")
    program.write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        f"from pathlib import Path\nimport {Path(__file__).stem} as t\n"
        f"t.{function}(Path({str(folder)!r}), t.TrainingSettings.model_validate_json({settings.model_dump_json()!r}))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, *launcher, str(program)], stderr=subprocess.DEVNULL, env=environment)


def kill_when(child: subprocess.Popen[bytes], ready: Callable[[], bool], limit_s: float = 300) -> None:
    end = time.monotonic() + limit_s
    while not ready():
        assert child.poll() is None, "the run ended before the moment of the kill"
        assert time.monotonic() < end
        time.sleep(0.0005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()


def test_three_real_kills_one_of_them_within_a_checkpoint_leave_the_run_as_it_was(tmp_path: Path) -> None:
    settings = settings_of(num_steps=200, log_every_steps=1, checkpoint_every_steps=7, optimizer="muon")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    wanted = run(whole, settings)
    rng = np.random.default_rng(SEED)
    moments = np.sort(rng.integers(10, 170, 3)).tolist()
    within = int(rng.integers(3))
    print(f"seed {SEED}: kills at steps {moments}, number {within} while a state is written")

    def reached(step: int) -> bool:
        return any(row["step"] >= step for row in read_metrics(broken)[-1:])

    for number, moment in enumerate(moments):
        child = start(broken, settings)
        if number == within:
            kill_when(child, lambda moment=moment: reached(moment) and any((broken / "state").glob("*.tmp/*.safetensors")))  # type: ignore[misc]
            assert list((broken / "state").glob("*.tmp")), "the kill came while a state was being written"
        else:
            kill_when(child, lambda moment=moment: reached(moment))  # type: ignore[misc]
        assert child.returncode == -signal.SIGKILL
    assert run(broken, settings) == wanted
    assert losses(broken) == losses(whole)
    assert len(losses(broken)) == settings.num_steps


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB; a state of the model above takes 3.9 MB, and two are kept."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"needs the right to mount a small file system: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # weights read from it may still be mapped


def test_a_disk_that_is_really_full_keeps_the_last_state_and_says_what_to_do(small_disk: Path, tmp_path: Path) -> None:
    settings = settings_of(num_steps=40, checkpoint_every_steps=5)
    (tmp_path / "whole").mkdir()
    wanted = run(tmp_path / "whole", settings)
    store, unit = Store(small_disk / "store"), Unit("checkpoint", "checkpoint", 1, {})
    with pytest.raises(StoreError, match="the disk is full; free space") as caught, store.write(unit) as writing:
        run(writing.folder, settings)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    states = sorted(path.name for path in (store.path(unit).with_name(store.path(unit).name + ".partial") / "state").iterdir())
    assert states
    assert not any(name.endswith(".tmp") for name in states)
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    with store.write(unit) as writing:
        assert writing.resumed
        assert run(writing.folder, settings) == wanted
        assert losses(writing.folder) == losses(tmp_path / "whole")


@pytest.mark.parametrize("micro_batch", [0, 2])
def test_two_processes_have_the_losses_of_one_over_200_steps(tmp_path: Path, micro_batch: int) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    alone.mkdir()
    shared.mkdir()
    settings = settings_of(num_steps=200, batch_windows=7, micro_batch=micro_batch, checkpoint_every_steps=200, learning_rate=1e-3, warmup_steps=20)
    run_plain(alone, settings)
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}")
    assert start(shared, settings, *launcher, function="run_plain").wait(timeout=900) == 0
    one: NDArray[np.float64] = np.array([loss for _, loss in losses(alone)])
    two: NDArray[np.float64] = np.array([loss for _, loss in losses(shared)])
    print(f"largest relative difference over {len(one)} steps: {np.abs(one / two - 1).max():.2e}, loss {one[0]:.3f} to {one[-1]:.3f}")
    assert len(one) == len(two) == 200
    assert one[-1] < 0.5 * one[0]
    np.testing.assert_allclose(two, one, rtol=1e-5)
    assert [row["tokens"] for row in read_metrics(shared)] == [row["tokens"] for row in read_metrics(alone)]


def run_plain(folder: Path, settings: TrainingSettings) -> None:
    """Train without dropout, whose draws are each process's own."""
    torch.set_num_threads(1)
    model = gpt2_rotary.build(ModelSettings(layers=2, heads=2, head_width=16, partial_rotary_factor=0.5), 31, 24, SEED)
    train(model, Counting(), settings, folder)
