"""Several processes train one checkpoint: the losses of one process, one set of files, nobody left behind."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from test_training_stream import settings_of, stream_of, write_inputs

from igsm_pipeline.store import Writing
from igsm_pipeline.training.curves import read_metrics
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
