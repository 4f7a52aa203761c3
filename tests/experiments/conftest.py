"""What the tests of experiments share: a data root with one experiment, ``mine``."""

from pathlib import Path

import pytest
from reference.own_experiment import declare


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root of the test's own (``IGSM_HOME`` names it) whose experiment ``mine`` is ``mini`` under another name."""
    folder = tmp_path / "home"
    monkeypatch.setenv("IGSM_HOME", str(folder))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    declare(folder, "")
    return folder
