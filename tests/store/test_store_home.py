"""The data root: found by a variable or from the working folder; any path works or is refused at once, in one line."""

import os
from pathlib import Path

import pytest

from igsm_pipeline.errors import BadSettings, NotFound
from igsm_pipeline.store import find_home
from igsm_pipeline.store.home import find_project

ODD = [
    "Lab (x, 2024)",
    "k: v",
    "c#1 #2",
    "br}ace",
    "br{ace",
    "100%",
    "\u00fcn\u00ef \u2603",
    "a'b",
    'a"b',
    " lead",
    "{{ env }}",
    "- dash",
]
IMPOSSIBLE = ["100%25", "que?x", "st*r", "[x]", "a\\b", "a\nb", "tab\tx", "nel\x85x", "line\u2028x", os.fsdecode(b"latin-\xe9")]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder outside any project, with no data root named."""
    folder = tmp_path / "project" / "notebooks"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("IGSM_HOME", raising=False)
    return folder


def test_without_a_project_and_without_a_name_there_is_none(elsewhere: Path) -> None:
    assert find_project() is None
    with pytest.raises(NotFound, match=r"`igsm init`, set IGSM_HOME"):
        find_home()


def test_it_lies_in_the_nearest_project_or_where_igsm_home_says(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere.parent / "dagster.yaml").touch()
    assert find_home() == elsewhere.parent / "data"
    monkeypatch.setenv("IGSM_HOME", "here")
    assert find_home() == elsewhere / "here"


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_data_roots(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (elsewhere / name).mkdir()
    monkeypatch.setenv("IGSM_HOME", name)
    assert find_home() == elsewhere / name


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_names_that_databases_cannot_have_are_refused_in_one_line(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("IGSM_HOME", name)
    with pytest.raises(BadSettings, match=r"IGSM_HOME must be a path without \?, \*, \[, backslashes.*rename the folder") as caught:
        find_home()
    assert len(str(caught.value).splitlines()) == 1
    str(caught.value).encode()
    (elsewhere / name).mkdir()
    (elsewhere / name / "dagster.yaml").touch()
    monkeypatch.delenv("IGSM_HOME")
    monkeypatch.chdir(elsewhere / name)
    with pytest.raises(BadSettings, match="the project's folder must be a path"):
        find_home()


def test_a_file_is_no_data_root(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / "file").touch()
    monkeypatch.setenv("IGSM_HOME", "file")
    with pytest.raises(BadSettings, match="must be a folder"):
        find_home()


def test_the_project_s_folder_in_place_of_its_data_is_said_to_be_so(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = elsewhere.parent
    (project / "dagster.yaml").touch()
    monkeypatch.setenv("IGSM_HOME", str(project))
    with pytest.raises(BadSettings, match=f"not the project's own.*set it to {project / 'data'}"):
        find_home()
    (project / "store").mkdir()  # whoever keeps the data beside a dagster.yaml may do so
    assert find_home() == project
    (project / "data" / "store").mkdir(parents=True)
    with pytest.raises(BadSettings, match="not the project's own"):
        find_home()
