"""What else may lie in a unit's place: a copy, a link, a link to nothing, a file. None stops a reader or a writer."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from reference.two_units import SOURCE, fill

import igsm_pipeline.store.store as store_module
from igsm_pipeline.store import Store
from igsm_pipeline.store.files import hash_file


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


def test_a_copied_unit_is_hashed_once_and_an_altered_file_at_every_check(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, SOURCE)
    moved, hashed = tmp_path / "copy", list[str]()
    shutil.copytree(store.path(SOURCE), moved, copy_function=shutil.copyfile)
    shutil.rmtree(store.path(SOURCE))
    moved.rename(store.path(SOURCE))
    monkeypatch.setattr(store_module, "hash_file", lambda path: (hashed.append(path.name), hash_file(path))[1])
    assert store.check(SOURCE).fresh
    files = store.manifest(SOURCE)["files"]
    assert sorted(hashed) == sorted(Path(name).name for name in files)
    assert store.check(SOURCE).fresh
    assert len(hashed) == len(files)
    altered = store.path(SOURCE) / "part" / "a.bin"
    altered.write_text("x" * altered.stat().st_size)
    for _ in range(2):
        assert store.check(SOURCE).reasons == ("file part/a.bin was altered",)


def test_a_file_that_changes_while_it_is_hashed_or_that_a_link_leads_to_keeps_its_time(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, SOURCE)
    path = store.path(SOURCE) / "part" / "a.bin"
    os.utime(path, ns=(1, 1))

    def change(path: Path) -> str:
        found = hash_file(path)
        path.write_text("x" * path.stat().st_size)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(store_module, "hash_file", change)
        assert store.check(SOURCE).fresh
    assert store.check(SOURCE).reasons == ("file part/a.bin was altered",)
    fill(store, SOURCE)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    os.utime(path, ns=(1, 1))
    assert store.check(SOURCE).fresh
    assert path.stat().st_mtime_ns == 1


def test_a_store_that_may_not_be_written_is_checked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, SOURCE)
    os.utime(store.path(SOURCE) / "part" / "a.bin", ns=(1, 1))

    def refuse(*_arguments: object, **_more: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("igsm_pipeline.store.store.os.utime", refuse)
    assert store.check(SOURCE).fresh


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
