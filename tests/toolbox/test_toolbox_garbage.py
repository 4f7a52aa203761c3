"""Another project's units, and what reports rest on, are not garbage; a checkpoint takes a second word."""

from __future__ import annotations

from pathlib import Path

import pytest

from igsm_pipeline.cli import main
from igsm_pipeline.experiments import find_member
from igsm_pipeline.experiments.folders import KNOWN
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.running.runner import run_units
from igsm_pipeline.store import Store, Unit
from igsm_pipeline.toolbox.garbage import find_unwanted


@pytest.fixture
def theirs(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "their experiments"
    folder.mkdir()
    (folder / "theirs.yaml").write_text("base: mini\nfamily: {modulus: 7}\n")
    monkeypatch.setenv("IGSM_EXPERIMENTS", str(folder))
    return folder


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def fill(store: Store, unit: Unit) -> Path:
    for source in unit.inputs.values():
        fill(store, source)
    if not store.path(unit).exists():
        with store.write(unit) as writing:
            (writing.folder / "a.bin").write_text("data")
    return store.path(unit)


def unit_of(member: str, stage: str) -> Unit:
    return next(unit for unit in units_of(find_member(member)) if unit.stage == stage)


def test_units_of_another_projects_experiments_are_kept_once_they_were_run_here(home, theirs, monkeypatch):
    store = Store.at_home()
    run_units(find_member("theirs"), "world", store)
    own = fill(store, unit_of("theirs", "problem_sets"))
    assert own.exists()
    monkeypatch.delenv("IGSM_EXPERIMENTS")
    assert find_unwanted(store, home).garbage == ()
    assert run("gc", "--yes") == 0
    assert own.exists()


def test_what_a_report_of_an_unknown_member_rests_on_is_kept_until_it_is_asked_for(home, theirs, monkeypatch, capsys):
    store = Store.at_home()
    report = fill(store, unit_of("theirs", "report"))
    lone = fill(store, Unit("problem_sets", "train", 1, {"num_problems": 3}))
    monkeypatch.delenv("IGSM_EXPERIMENTS")
    found = find_unwanted(store, home)
    assert [item.path for item in found.garbage] == [lone]
    assert report in {item.path for item in found.held}
    assert found.members == ("theirs",)
    assert run("gc", "--yes") == 0
    assert "the reports of theirs" in capsys.readouterr().out
    assert report.exists()
    assert not lone.exists()
    assert run("gc", "--yes", "--reports", "--checkpoints") == 0
    assert not report.exists()
    assert find_unwanted(store, home).held == ()


def test_a_superseded_report_of_a_known_member_holds_nothing(home, theirs):
    store = Store.at_home()
    report = fill(store, unit_of("theirs", "report"))
    (theirs / "theirs.yaml").write_text("base: mini\nfamily: {modulus: 11}\n")
    found = find_unwanted(store, home)
    assert report in {item.path for item in found.garbage}
    assert found.held == ()


def test_a_checkpoint_is_removed_only_when_it_is_meant(home, capsys):
    store = Store.at_home()
    folder = fill(store, Unit("checkpoint", "checkpoint", 1, {"layers": 1}))
    assert run("gc", "--yes") == 0
    assert folder.exists()
    assert "kept 1 checkpoints; --checkpoints removes them" in capsys.readouterr().out
    assert run("gc", "--yes", "--checkpoints") == 0
    assert not folder.exists()


def test_a_remembered_folder_that_is_gone_keeps_everything_until_it_is_back_or_taken_off_the_list(home, theirs, monkeypatch, capsys):
    store = Store.at_home()
    run_units(find_member("theirs"), "world", store)
    own = fill(store, unit_of("theirs", "problem_sets"))
    monkeypatch.delenv("IGSM_EXPERIMENTS")
    theirs.rename(theirs.with_name("on another disk"))
    assert run("gc") == 0
    assert f"{KNOWN} must name folders of experiments that are there, got {str(theirs)!r}" in capsys.readouterr().err
    assert run("gc", "--yes") == 2
    assert own.exists()
    (home / KNOWN).write_text("[]")
    assert run("gc", "--yes") == 0
    assert not own.exists()


def test_a_broken_file_is_told_of_and_keeps_everything(home, theirs, capsys):
    store = Store.at_home()
    folder = fill(store, Unit("problem_sets", "train", 1, {"num_problems": 3}))
    (theirs / "broken.yaml").write_text("training: {learning_rate: .inf}\n")
    assert run("gc") == 0
    out, err = capsys.readouterr()
    assert folder.name in out
    assert "broken.yaml: training.learning_rate" in err
    assert run("gc", "--yes") == 2
    assert folder.exists()
