"""A plan says what it will cost before anything was ever run, and is refused where that is too much."""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path

import pytest
from reference.own_experiment import declare
from rich.console import Console

import igsm_pipeline
from igsm_pipeline.cli import main
from igsm_pipeline.costs import parameters_of
from igsm_pipeline.errors import BadSettings, BadWorld, StoreError
from igsm_pipeline.experiments import find_member, load_members
from igsm_pipeline.planning.estimates import FARTHEST, disk_of, estimate, estimate_stages
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.planning.planner import find_unit, plan
from igsm_pipeline.planning.preflight import check_plan, check_writable
from igsm_pipeline.store import Store
from igsm_pipeline.toolbox.console import plan_table


def refusal() -> str:
    store = Store.at_home()
    with pytest.raises(BadSettings) as refused:
        check_plan(plan(find_member("mine"), store), store)
    return str(refused.value)


def refuse(rule: str, kind: type[Exception] = BadSettings) -> None:
    store = Store.at_home()
    with pytest.raises(kind, match=rule):
        check_plan(plan(find_member("mine"), store), store)


def test_a_first_run_beyond_the_disk_budget_is_refused_and_names_the_largest_stage(home):
    declare(home, "budget: {disk_gb: 0.01}")
    refuse(r"budget\.disk_gb must cover the plan's .* GB, got 0\.01; raise it, or make less of activation_cache")
    with pytest.raises(SystemExit) as ended:
        main(["run", "mine"])
    assert ended.value.code == 2
    assert not (home / "store").exists()


def test_max_tokens_that_no_prompt_and_solution_fit_into_are_refused_before_any_data_is_made(home):
    declare(home, "evaluation: {max_tokens: 16}")
    refuse(
        r"evaluation\.max_tokens must hold a prompt of the slice op<=max and its solution, \d+ tokens at least .*, got 16; raise it to \d+ or more"
    )
    least = int(refusal().split(" tokens at least")[0].split()[-1])
    declare(home, f"evaluation: {{max_tokens: {least - 1}, slices: ['op<=max']}}")
    refuse("evaluation.max_tokens")
    declare(home, f"evaluation: {{max_tokens: {least}, slices: ['op<=max']}}")
    check_plan(plan(find_member("mine"), Store.at_home()), Store.at_home())


def test_a_device_that_does_not_exist_is_refused_before_any_data_is_made(home):
    declare(home, "training: {device: gpu}")
    refuse(r"training\.device must be auto, cpu")


def test_names_that_do_not_fit_the_tokens_are_refused_before_any_data_is_made(home):
    text = (Path(igsm_pipeline.__file__).parent / "world" / "mini.json").read_text()
    assert "Fountain Pen" in text
    (home / "experiments" / "other.json").write_text(text.replace("Fountain Pen", "Fountain Pen (blue)"))
    declare(home, "world: {source: other.json, lenient: true}\ntokens: {segmentation: bpe}\n")
    refuse("must have names that end in a letter or digit", BadWorld)


def test_every_built_in_member_fits_its_own_budget(home):
    for member in load_members().values():
        need = sum(disk_of(unit) for unit in units_of(member)) / 1e9
        assert need < member.settings.budget.disk_gb, member.key


def test_parameters_are_those_of_the_papers_size(home):
    assert parameters_of(find_member("med_pq").settings.canonical()) == pytest.approx(86.7e6, rel=0.02), "GPT2-12-12 without GPT-2's 38.6M embedding"


def test_seconds_are_scaled_from_the_nearest_unit_and_unknown_far_from_all(home):
    store = Store.at_home()
    unit = find_unit(find_member("mine"), "problem_sets", "train")
    wanted = unit.settings["num_problems"]
    assert estimate([unit], store).unknown == 1
    for problems, seconds in ((wanted // 2, 10), (wanted // 50, 9)):
        finished = find_unit_of(problems)
        with store.write(finished) as writing:
            writing.counts["problems"] = problems
        rewrite_seconds(store, finished, seconds)
    found = estimate([unit], store)
    assert (found.seconds, found.unknown) == (pytest.approx(20), 0)
    declare(home, f"shards: {{num_problems: {int(wanted * FARTHEST)}}}")
    assert estimate([find_unit(find_member("mine"), "problem_sets", "train")], store).unknown == 1


def find_unit_of(problems: int):
    declare(Path(os.environ["IGSM_HOME"]), f"shards: {{num_problems: {problems}}}")
    unit = find_unit(find_member("mine"), "problem_sets", "train")
    with Store.at_home().write(unit.inputs["world"]):
        pass
    declare(Path(os.environ["IGSM_HOME"]), "")
    return unit


def rewrite_seconds(store: Store, unit, seconds: float) -> None:
    path = store.path(unit) / "manifest.json"
    path.write_text(path.read_text().replace(f'"seconds": {store.manifest(unit)["seconds"]}', f'"seconds": {seconds}'))


def test_a_time_that_nothing_tells_is_shown_as_unknown_and_not_as_zero(home):
    store = Store.at_home()
    looked = plan(find_member("mine"), store, ["checkpoint"])
    console = Console(width=150, file=StringIO())
    console.print(plan_table(looked, estimate_stages(looked, store)))
    shown = console.file.getvalue()
    assert shown.count("?") == 2
    assert "0 s" not in shown
    assert "MB" in shown, "disk is told from the settings"


def test_a_data_root_that_cannot_be_written_is_refused_in_words(tmp_path, monkeypatch):
    check_writable(tmp_path / "not there yet")
    (tmp_path / "file").write_text("")

    def read_only(*_arguments: object, **_more: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("igsm_pipeline.planning.preflight.tempfile.TemporaryFile", read_only)
    with pytest.raises(StoreError, match=r"cannot be written \(Read-only file system\); free space, mount it"):
        check_writable(tmp_path)
