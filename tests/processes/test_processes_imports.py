"""Claims about loading large libraries."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from igsm_pipeline.processes.imports import quick_imports
from igsm_pipeline.stage import load_object


@pytest.fixture(autouse=True)
def collector_runs() -> Iterator[None]:
    """The collector as other tests expect it."""
    gc.enable()
    yield
    gc.enable()


def test_the_collector_rests_while_libraries_load_and_runs_afterwards() -> None:
    with quick_imports():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_collector_runs_again_after_an_import_that_fails() -> None:
    with pytest.raises(ModuleNotFoundError), quick_imports():
        import no_such_library_at_all  # type: ignore[import-not-found]  # noqa: F401, PLC0415
    assert gc.isenabled()


def test_a_collector_that_was_switched_off_stays_off() -> None:
    gc.disable()
    with quick_imports():
        pass
    assert not gc.isenabled()


def test_the_code_of_a_stage_is_loaded_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loaded_by_a_test.py").write_text("import gc\nRAN = gc.isenabled()\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_object("loaded_by_a_test:RAN") is False
    assert gc.isenabled()
