"""A stage is judged on the way without Dagster, too: a blocking check stops there, and what was found is kept until units or check change."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.running.__main__ import main
from igsm_pipeline.running.judging import CHECKS, judge
from igsm_pipeline.stage import Check, Outcome, Stage, StageUnits
from igsm_pipeline.store import Store

MODULE = "rule_of_the_test"
SOURCE = """
from pathlib import Path
from igsm_pipeline.stage import Outcome

def look(run):
    with Path({looks!r}).open("a") as file:
        file.write("x")
    return Outcome({passed}, "the world is as it is", {{"units": len(run.units)}})
"""


@pytest.fixture
def rule(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stage]:
    """Give the stage ``world`` a check of its own, written as a module; returns the stage."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(passed: bool, *, blocking: bool = True, more: str = "") -> Stage:
        (tmp_path / f"{MODULE}.py").write_text(SOURCE.format(looks=str(tmp_path / "looks"), passed=passed) + more)
        sys.modules.pop(MODULE, None)
        importlib.invalidate_caches()
        stage = replace(STAGES["world"], checks=(Check("own_rule", "The world keeps the rule.", f"{MODULE}:look", blocking=blocking),))
        monkeypatch.setitem(STAGES, "world", stage)  # type: ignore[arg-type]  (a mapping to everybody else)
        return stage

    yield write
    sys.modules.pop(MODULE, None)


@pytest.fixture
def looks(tmp_path: Path) -> Callable[[], int]:
    """How often the check has looked."""
    return lambda: len((tmp_path / "looks").read_text()) if (tmp_path / "looks").exists() else 0


def run(*words: str) -> int:
    return main(["run", "mine", *words])


def found(stage: Stage) -> Outcome:
    """What the check of the stage finds."""
    units = tuple(unit for unit in units_of(find_member("mine")) if unit.stage == stage.name)
    return judge(StageUnits(stage, Store.at_home(), units))[stage.checks[0]]


def test_a_failed_blocking_check_stops_the_run_with_status_2_and_its_name(rule, home, capsys):
    rule(False)
    assert run("--stage", "world", "--stage", "problem_sets") == 2
    assert (
        "world failed its check own_rule: the world is as it is. The world keeps the rule. Nothing that reads it was computed"
        in capsys.readouterr().err
    )
    assert (home / "store" / "world").is_dir()
    assert not (home / "store" / "problem_sets").exists()


def test_the_same_run_goes_no_further_though_its_unit_is_fresh_by_now(rule, capsys):
    rule(False)
    assert [run("--stage", "world"), run("--stage", "world")] == [2, 2]


def test_a_failed_check_that_does_not_block_and_one_that_is_only_noted_stop_nothing(rule, looks):
    rule(False, blocking=False)
    assert run("--stage", "world") == 0
    rule(False)
    assert run("--stage", "world", "--checks", "note") == 0
    assert looks() == 1, "whether a check blocks is not what it looks at"


def test_what_a_check_found_is_kept_beside_the_store_and_not_looked_at_again(rule, looks, home):
    stage = rule(True)
    assert run("--stage", "world") == 0
    assert len(list((home / CHECKS).glob("world-own_rule-*.json"))) == 1
    assert run("--stage", "world") == 0
    assert found(stage) == Outcome(True, "the world is as it is", {"units": 1})
    assert looks() == 1


def test_another_text_of_the_check_is_looked_at_anew(rule, looks):
    rule(False)
    assert run("--stage", "world") == 2
    rule(True)
    assert run("--stage", "world") == 0
    rule(True, more="\n# another word\n")
    assert run("--stage", "world") == 0
    assert looks() == 3


def test_other_content_of_the_units_is_looked_at_anew(rule, looks, home):
    stage = rule(True)
    assert run("--stage", "world") == 0
    units = tuple(unit for unit in units_of(find_member("mine")) if unit.stage == "world")
    before = StageUnits(stage, Store.at_home(), units)
    altered = StageUnits(stage, Store.at_home(), units)
    altered.manifests[units[0]]["content"] = "of another build"  # type: ignore[index]
    judge(before)
    judge(altered)
    assert looks() == 2


def test_a_kept_outcome_that_is_none_is_looked_at_anew(rule, looks, home):
    stage = rule(True)
    assert run("--stage", "world") == 0
    (kept,) = (home / CHECKS).glob("world-own_rule-*.json")
    kept.write_text("[]")
    assert found(stage).passed
    assert looks() == 2


def test_files_are_looked_at_every_time(rule, home):
    stage = rule(True)
    assert run("--stage", "world") == 0
    (path,) = (home / "store" / "world").glob("*/world.json")
    path.write_text(path.read_text() + " ")
    units = tuple(unit for unit in units_of(find_member("mine")) if unit.stage == "world")
    intact, own = judge(StageUnits(stage, Store.at_home(), units)).values()
    assert (intact.passed, own.passed) == (False, True)
