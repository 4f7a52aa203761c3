"""Garbage is what nothing refers to, and nothing else is removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from igsm_pipeline.store import Store, Unit
from igsm_pipeline.store.housekeeping import find_garbage, remove_garbage

SOURCE = Unit("problem_sets", "train", 1, {"num_problems": 3})
READER = Unit("token_shards", "train", 1, {"window": 64}, {"problems": SOURCE})


def fill(store: Store, unit: Unit, text: str = "data") -> None:
    with store.write(unit) as writing:
        (writing.folder / "part").mkdir(exist_ok=True)
        (writing.folder / "part" / "a.bin").write_text(text)


@pytest.fixture
def full(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    fill(store, SOURCE)
    fill(store, READER)
    return store


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
    folders, freed = remove_garbage(garbage)
    assert folders == 2
    assert freed == sum(item.bytes for item in garbage) > 10
    assert full.check(SOURCE).fresh
    assert not full.check(READER).fresh
    assert find_garbage(full, [SOURCE, half]) == []
    assert (full.root / "mine" / "notes.txt").exists()


def test_a_unit_that_is_being_written_is_not_removed(full: Store) -> None:
    garbage = find_garbage(full, [SOURCE])
    with full.write(READER):
        assert remove_garbage(garbage) == (0, 0)
    assert full.check(READER).fresh
