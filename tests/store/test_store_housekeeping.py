"""Garbage is what nothing refers to, and nothing else is removed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from reference.two_units import READER, SOURCE

from igsm_pipeline.store import Store, Unit, housekeeping
from igsm_pipeline.store.archives import export_units, import_units
from igsm_pipeline.store.housekeeping import IMPORT, Leftover, find_garbage, remove_garbage
from igsm_pipeline.store.locks import LOCK, locked


def test_garbage_is_what_is_not_wanted_and_a_wanted_half_done_unit_is_kept(full: Store) -> None:
    half, lost = Unit("problem_sets", "half", 1, {"seed": 1}), Unit("problem_sets", "lost", 1, {"seed": 2})
    for unit in (half, lost):
        with pytest.raises(RuntimeError), full.write(unit) as writing:
            (writing.folder / "x").write_text("12345")
            raise RuntimeError
    (full.root / "mine").mkdir()
    (full.root / "mine" / "notes.txt").write_text("not a stage")
    garbage = find_garbage(full, [SOURCE, half])
    assert {(item.path.name.split(".")[0], item.kind) for item in garbage} == {(READER.fingerprint, "unit"), (lost.fingerprint, "half done")}
    removed = remove_garbage(garbage)
    assert removed.folders == 2
    assert removed.bytes == sum(item.bytes for item in garbage) > 10
    assert removed.kept == ()
    assert full.check(SOURCE).fresh
    assert not full.check(READER).fresh
    assert find_garbage(full, [SOURCE, half]) == []
    assert (full.root / "mine" / "notes.txt").exists()


def test_one_folder_that_cannot_be_removed_is_named_and_the_others_go(full: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    garbage = find_garbage(full, [])
    assert len(garbage) == 2

    def refuse(path: Path) -> None:
        if path == garbage[0].path:
            raise PermissionError(13, "denied", str(path))
        shutil.rmtree(path)

    monkeypatch.setattr(housekeeping, "remove_folder", refuse)
    removed = remove_garbage(garbage)
    assert removed.folders == 1
    assert removed.kept == (f"{garbage[0].path}: denied",)
    assert [item.path.exists() for item in garbage] == [True, False]


@pytest.mark.parametrize("target", ["kept", "gone"])
def test_of_a_link_only_the_link_is_garbage(full: Store, tmp_path: Path, target: str) -> None:
    shutil.move(full.path(READER), tmp_path / "kept")
    full.path(READER).symlink_to(tmp_path / target)
    garbage = find_garbage(full, [SOURCE])
    assert [(item.path, item.bytes) for item in garbage] == [(full.path(READER), 0)]
    assert remove_garbage(garbage).folders == 1
    assert not full.path(READER).is_symlink()
    assert (tmp_path / "kept" / "part" / "a.bin").exists()


def test_a_unit_that_is_being_written_is_not_removed(full: Store) -> None:
    garbage = find_garbage(full, [SOURCE])
    with full.write(READER):
        removed = remove_garbage(garbage)
        assert (removed.folders, removed.bytes) == (0, 0)
        assert f"is being written by process {os.getpid()}" in removed.kept[0]
    assert full.check(READER).fresh


def test_what_a_killed_import_left_is_garbage_and_what_an_import_unpacks_is_not(full: Store, tmp_path: Path) -> None:
    left = full.root / IMPORT / SOURCE.stage / SOURCE.fingerprint
    left.mkdir(parents=True)
    (left / "half.bin").write_bytes(b"1234")
    with locked(full.root / f"{IMPORT}{LOCK}"):
        assert find_garbage(full, [SOURCE, READER]) == []
        (held,) = remove_garbage([Leftover(full.root / IMPORT, 4, "half done")]).kept
        assert "wait for it or stop it" in held
    assert find_garbage(full, [SOURCE, READER]) == [Leftover(full.root / IMPORT, 4, "half done")]
    export_units(full, [SOURCE], tmp_path / "units.tar")
    assert len(import_units(full, tmp_path / "units.tar").present) == 1
    assert not left.exists(), "the next import begins anew"
    left.mkdir(parents=True)
    assert remove_garbage(find_garbage(full, [SOURCE, READER])).folders == 1
    assert not list(full.root.glob(f"{IMPORT}*"))
