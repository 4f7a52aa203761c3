"""A data root remembers whose experiments were run in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from igsm_pipeline.errors import BadSettings
from igsm_pipeline.experiments.folders import BUILTIN, KNOWN, known_folders, remember_folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_folders_are_remembered_once_and_forgotten_when_they_are_gone(home: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "mine").mkdir()
    for name in ("theirs", "mine", "theirs"):
        remember_folder(home, tmp_path / name)
    remember_folder(home, BUILTIN)
    assert known_folders(home) == [tmp_path / "mine", tmp_path / "theirs"]
    (tmp_path / "mine").rmdir()
    assert known_folders(home) == [tmp_path / "theirs"]


def test_the_folder_in_use_and_the_data_roots_own_are_known(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "experiments").mkdir()
    (tmp_path / "theirs").mkdir()
    monkeypatch.setenv("IGSM_EXPERIMENTS", str(tmp_path / "theirs"))
    assert known_folders(home) == [tmp_path / "theirs", home / "experiments"]


@pytest.mark.parametrize("text", ["{", "null", "[1]", "[" * 200_000])
def test_a_damaged_memory_is_named(home: Path, text: str) -> None:
    (home / KNOWN).write_text(text)
    with pytest.raises(BadSettings, match="must be a JSON list of folders"):
        known_folders(home)
