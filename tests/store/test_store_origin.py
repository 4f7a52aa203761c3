"""A manifest says by which code and on which machine its unit was computed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from igsm_pipeline.store import Store, Unit
from igsm_pipeline.store.origin import machine_origin, own_revision, processor_name


def test_a_manifest_names_commit_processor_and_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine_origin.cache_clear()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    store, unit = Store(tmp_path), Unit("world", "world", 1, {}, {})
    with store.write(unit) as writing:
        (writing.folder / "a.bin").write_text("a")
    manifest = store.manifest(unit)
    machine_origin.cache_clear()
    assert manifest["machine"]["threads"] == 3
    assert manifest["machine"]["processor"]
    assert manifest["code"]["commit"] == own_revision()


def test_a_commit_is_whole_or_none() -> None:
    assert re.fullmatch(r"[0-9a-f]{40}(\+changes)?|none", own_revision())


def test_the_processor_has_its_makers_name_and_python_s_where_there_is_no_list(tmp_path: Path) -> None:
    listed = tmp_path / "cpuinfo"
    listed.write_text("processor\t: 0\nmodel name\t: Slow Chip 3000 @ 1 Hz\n")
    assert processor_name(listed) == "Slow Chip 3000 @ 1 Hz"
    assert processor_name(tmp_path / "none")
