"""A file is there whole or as it was, under a name of one's own, with the permissions of any new file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from igsm_pipeline.errors import BadSettings
from igsm_pipeline.store import new_folder, remove_leftovers, write_atomically, written_whole


def test_a_file_appears_when_its_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with written_whole(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_whole(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_two_writers_of_one_file_have_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with written_whole(path) as first, written_whole(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_any_new_file_even_of_weights(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "a.txt", b"data")
        with written_whole(tmp_path / "a.safetensors") as temporary:
            save_file({"a": torch.zeros(2)}, temporary)
            temporary.chmod(0o600)  # what safetensors does in some versions
    finally:
        os.umask(before)
    assert [(path.stat().st_mode & 0o777) for path in sorted(tmp_path.iterdir())] == [mode, mode]


def test_a_link_stays_and_the_file_that_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "a.txt"
    target.write_text("old")
    (tmp_path / "link.txt").symlink_to(target)
    write_atomically(tmp_path / "link.txt", b"new")
    assert (tmp_path / "link.txt").is_symlink()
    assert target.read_text() == "new"


def test_a_device_is_written_directly() -> None:
    with written_whole(Path(os.devnull)) as temporary:
        assert temporary == Path(os.devnull)
    assert Path(os.devnull).is_char_device()


def test_leftovers_of_killed_writers_are_removed_at_every_depth_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.parquet.tmp", "deep/.b.1.ff.tmp", "deep/kept.parquet"):
        (tmp_path / name).write_text("x")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["kept.parquet"]


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "folder"
    with pytest.raises(RuntimeError), new_folder(place, "--many") as writing:
        (writing / "a").touch()
        raise RuntimeError
    assert not place.exists()
    assert list(place.parent.iterdir()) == []
    place.mkdir()
    with new_folder(place, "--many") as writing:
        (writing / "a").touch()
        assert list(place.iterdir()) == []
    assert [path.name for path in place.iterdir()] == ["a"]
    with pytest.raises(BadSettings, match="new or empty folder with --many"), new_folder(place, "--many"):
        pass
