"""What else may lie in a unit's place: a link, a link to nothing, a file. None stops a reader or a writer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from reference.two_units import SOURCE, fill

from igsm_pipeline.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_unit_or_a_stage_or_a_store_that_is_a_link_is_read_and_rebuilt(store: Store, tmp_path: Path) -> None:
    unit = SOURCE
    fill(store, unit)
    moved = tmp_path / "larger disk"
    for place in (store.path(unit), store.root / unit.stage, store.root):
        shutil.move(place, moved)
        place.symlink_to(moved)
        assert store.check(unit, deep=True).fresh
        for text in ("once", "twice"):
            fill(store, unit, text)
            assert (store.path(unit) / "part" / "a.bin").read_text() == text
        assert not list(store.root.rglob("*.old"))
        moved = moved.with_name(moved.name + ".next")


@pytest.mark.parametrize("suffix", ["", ".partial", ".old"])
def test_a_link_to_nothing_in_a_units_place_does_not_stop_the_writer(store: Store, tmp_path: Path, suffix: str) -> None:
    unit = SOURCE
    place = store.path(unit).with_name(unit.fingerprint + suffix)
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "gone")
    assert not store.check(unit).fresh
    fill(store, unit)
    fill(store, unit, "again")
    assert store.check(unit, deep=True).fresh


@pytest.mark.parametrize("suffix", ["", ".partial", ".old"])
def test_a_file_in_a_units_place_does_not_stop_the_writer(store: Store, suffix: str) -> None:
    unit = SOURCE
    final = store.path(unit)
    final.parent.mkdir(parents=True)
    final.with_name(final.name + suffix).write_text("no folder")
    for content in ("first", "second", "third"):
        fill(store, unit, content)
        assert store.check(unit, deep=True).fresh
    assert sorted(path.name for path in final.parent.iterdir()) == [final.name, final.name + ".lock"]
