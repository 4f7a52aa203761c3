"""A plan computes what a change touched and what rests on it, and nothing else; a run computes the plan."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from reference.own_experiment import declare

from igsm_pipeline.errors import BadSettings, NotFound, StageFailed
from igsm_pipeline.experiments import find_member
from igsm_pipeline.experiments.slices import exact_op, slice_set
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.planning.planner import catalog_rows, find_unit, needed_stages, plan, usable_plans
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.running.__main__ import main
from igsm_pipeline.running.faults import FAULT
from igsm_pipeline.running.runner import run_unit, run_units
from igsm_pipeline.store import Store
from igsm_pipeline.training.stage import training_tokens

ONLY_IF_NAMED = {"own_problems", "llm_evaluations"}
"""Stages of files that an experiment names; ``mini`` names none."""
OF_MINI = set(STAGES) - ONLY_IF_NAMED - {"probe_controls", "steering", "erasure", "emergence", "regret"}
"""It asks for no controls of its V-probes, for no pushes, no erasure and no regret, and keeps no snapshots."""
ALL_AFTER_TRAINING = OF_MINI - {"world", "problem_sets", "token_shards", "control", "probe_queries", "text_probes"}


def finish(store: Store, member: str = "mine") -> None:
    """Stand in for a whole run: every unit gets a file that tells its address."""
    for unit in units_of(find_member(member)):
        with store.write(unit) as writing:
            (writing.folder / "a.bin").write_text(unit.fingerprint)


def stale_stages(store: Store) -> set[str]:
    return set(plan(find_member("mine"), store).stale_stages)


@pytest.mark.parametrize(
    ("changes", "stages"),
    [
        ("", OF_MINI),
        (
            "knowledge: {controls: [permuted]}\nsteering: {problems: 8}\nerasure: {problems: 8}\ntraining: {snapshots: 3}\nregret: {problems: 8}",
            OF_MINI | {"probe_controls", "steering", "erasure", "emergence", "regret"},
        ),
    ],
)
def test_units_come_after_their_inputs_and_cover_every_stage(home: Path, changes: str, stages: set[str]) -> None:
    declare(home, changes)
    seen = set()
    for unit in units_of(find_member("mine")):
        assert set(unit.inputs.values()) <= seen, f"{unit.stage} {unit.name}"
        seen.add(unit)
    assert {unit.stage for unit in seen} == stages


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_states_its_version(stage: str) -> None:
    assert STAGES[stage].version >= 1


def test_nothing_is_stale_after_a_run_and_everything_is_before(home: Path) -> None:
    store = Store.at_home()
    before = plan(find_member("mine"), store)
    assert before.stale == before.units
    finish(store)
    assert plan(find_member("mine"), store).stale == ()
    assert plan(find_member("mine"), store, deep=True).stale == ()


def test_a_stage_alone_is_planned_with_what_it_lacks_of_those_before_it(home: Path) -> None:
    store, member = Store.at_home(), find_member("mine")
    lacking = {"world", "problem_sets", "token_shards", "checkpoint", "generations", "verdicts"}
    assert set(plan(member, store, ["verdicts"], inputs=True).stale_stages) == lacking
    assert set(plan(member, store, ["verdicts"]).stale_stages) == {"verdicts"}
    finish(store)
    for stage in ("verdicts", "generations", "report"):
        unit = next(unit for unit in units_of(member) if unit.stage == stage)
        shutil.rmtree(store.path(unit))
    assert plan(member, store, ["verdicts"], inputs=True).stale_stages == ["generations", "verdicts"]
    assert needed_stages(member, store, ["probe_queries"]) == ["probe_queries"]
    with pytest.raises(NotFound, match="no stage"):
        needed_stages(member, store, ["verdict"])


CHANGES = {
    # what the user edits -> the stages that read it, and those that rest on them
    "title": ("title: another", {"report"}),
    "budget": ("budget: {disk_gb: 1}", set()),
    "device": ("training: {device: cpu}", set()),
    "learning rate": ("training: {learning_rate: 0.003}", ALL_AFTER_TRAINING),
    "training problems": ("shards: {num_problems: 9}", ALL_AFTER_TRAINING | {"problem_sets", "token_shards"}),
    "window": ("shards: {window: 256}", ALL_AFTER_TRAINING | {"token_shards"}),
    "completion length": ("evaluation: {max_tokens: 99}", {"generations", "verdicts", "error_correlation", "report"}),
    "linear penalty": ("probes: {linear_l2: 0.5}", {"linear_probes", "probe_scores", "report"}),
    "V-probe steps": ("probes: {num_steps: 7}", {"v_probes", "probe_scores", "error_correlation", "report"}),
    "candidates": (
        "probes: {candidates: all}",
        {
            "probe_queries",
            "activation_cache",
            "linear_probes",
            "v_probes",
            "text_probes",
            "probe_scores",
            "error_correlation",
            "report",
        },
    ),
    "one more slice": (
        'evaluation: {slices: ["op<=max", "op=max", "op=max+1", "op=max+2", reask, by_op, "op=max+3"]}',
        {"problem_sets", "generations", "verdicts", "error_correlation", "report"},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_makes_stale_what_reads_it_and_no_more(home: Path, change: str) -> None:
    store = Store.at_home()
    finish(store)
    text, stages = CHANGES[change]
    declare(home, text)
    assert stale_stages(store) == stages
    declare(home, "")
    assert stale_stages(store) == set(), "going back costs nothing"


def test_one_more_slice_computes_one_unit_per_stage_that_reads_slices(home: Path) -> None:
    store = Store.at_home()
    finish(store)
    declare(home, CHANGES["one more slice"][0])
    stale = plan(find_member("mine"), store).stale
    assert [unit.name for unit in stale if unit.stage in ("problem_sets", "generations", "verdicts")] == [
        "op=max+3",
        "op=max+3 beam 1",
        "op=max+3 beam 1",
    ]


def test_the_control_has_random_weights_alone_and_no_offset_heads(home: Path) -> None:
    controls = []
    for heads in ("[]", "[[1, 1, 3]]"):
        (home / "experiments" / "mine.yaml").write_text(f"base: mini\nmodel: {{offset_heads: {heads}}}\n")
        units = units_of(find_member("mine"))
        controls.append(next(unit for unit in units if unit.stage == "control"))
        checkpoint = next(unit for unit in units if unit.stage == "checkpoint")
        assert bool(checkpoint.settings["model"].get("offset_heads")) is (heads != "[]")
    assert controls[0].fingerprint == controls[1].fingerprint


def test_one_more_probed_slice_trains_no_probe_anew_and_another_training_leaves_the_control_alone(home: Path) -> None:
    store = Store.at_home()
    finish(store)
    slices = find_member("mine").settings.probes.slices
    declare(home, f"probes: {{slices: {json.dumps([*slices, 'op=max+3'])}}}")
    stale = [unit for unit in plan(find_member("mine"), store).stale if unit.stage not in ("problem_sets", "report")]
    assert [(unit.stage, unit.name) for unit in stale] == [
        ("probe_queries", "op=max+3"),
        ("activation_cache", "op=max+3 trained"),
        ("activation_cache", "op=max+3 random"),
        ("text_probes", "op=max+3"),
        ("probe_scores", "op=max+3"),
    ]
    declare(home, "training: {learning_rate: 0.003}")
    names = {
        unit.name for unit in plan(find_member("mine"), store).stale if unit.stage in ("control", "activation_cache", "linear_probes", "v_probes")
    }
    assert names
    assert all(name.endswith("trained") for name in names)


def test_so_many_problems_of_a_slice_are_asked_about_and_all_of_the_probes_training_set(home: Path) -> None:
    declare(home, "probes: {slice_problems: 7}")
    first = {unit.name: unit.settings["first"] for unit in units_of(find_member("mine")) if unit.stage == "probe_queries"}
    assert first == {"probe_train": None, "op<=max": 7, "op=max": 7, "op=max+1": 7}


def test_two_members_share_what_they_have_in_common(home: Path) -> None:
    store = Store.at_home()
    finish(store)
    (home / "experiments" / "other.yaml").write_text("base: mine\ntraining: {seed: 5}")
    stale = plan(find_member("other"), store).stale_stages
    assert set(stale) == ALL_AFTER_TRAINING


def test_the_plan_says_what_was_changed(home: Path) -> None:
    store = Store.at_home()
    finish(store)
    before = find_member("mine").settings.training.learning_rate
    declare(home, "training: {learning_rate: 0.003}")
    looked = plan(find_member("mine"), store, ["checkpoint"])
    assert looked.freshness[0].reasons == ("never computed", f"setting training.learning_rate changed from {before} to 0.003")


def test_all_members_are_planned_as_each_alone_and_what_they_share_is_looked_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, looked_at, check = Store.at_home(), list[str](), Store.check_own
    finish(store)
    (home / "experiments" / "other.yaml").write_text("base: mine\ntraining: {seed: 5}")
    (store.path(find_unit(find_member("mine"), "probe_queries", "op=max")) / "a.bin").unlink()
    alone = {key: plan(find_member(key), store) for key in ("mine", "other")}
    assert "setting training.seed changed from 0 to 5" in [reason for state in alone["other"].freshness for reason in state.reasons]
    monkeypatch.setattr(Store, "check_own", lambda self, unit, **how: (looked_at.append(unit.fingerprint), check(self, unit, **how))[1])
    together = {one.member.key: one for one in usable_plans(store, {}) if one.member.key in alone}
    assert together == alone
    fresh = [unit.fingerprint for unit, state in zip(alone["mine"].units, alone["mine"].freshness, strict=True) if state.fresh]
    assert {looked_at.count(one) for one in fresh} == {1}


def test_rows_of_the_catalog_are_found_without_asking_what_was_changed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.at_home()
    finish(store)
    monkeypatch.setattr("igsm_pipeline.planning.planner.explain_new", lambda unit, store: pytest.fail(f"{unit.name} is asked about"))
    fresh = plan(find_member("mine"), store).units
    assert {row["folder"] for row in catalog_rows(store) if row["member"] == "mine"} == {store.path(unit) for unit in fresh}


def test_a_lost_file_is_named_and_what_rests_on_it_waits(home: Path) -> None:
    store = Store.at_home()
    finish(store)
    member = find_member("mine")
    (store.path(find_unit(member, "token_shards", "train")) / "a.bin").unlink()
    states = dict(zip((f"{unit.stage} {unit.name}" for unit in units_of(member)), plan(member, store).freshness, strict=True))
    assert states["token_shards train"].reasons == ("file a.bin is missing",)
    assert states["checkpoint checkpoint"].reasons == ("input shards (token_shards train) is stale",)
    assert states["checkpoint checkpoint"].waits
    assert states["problem_sets train"].fresh


def test_a_run_computes_the_stale_units_of_a_stage_once_and_tells(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for computed, hit in ((1, 0), (0, 1)):
        assert main(["run", "mine", "--stage", "world"]) == 0
        told = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (told["computed"], told["hit"], told["stage"]) == (computed, hit, "world")


def test_a_run_refuses_in_words_with_exit_code_2(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["run", "nobody"], "no member 'nobody'"),
        (["run", "mine", "--stage", "nothing"], "no stage 'nothing'"),
        (["run", "mine", "--stage", "world", "--unit", "x"], "no unit 'x'"),
        (["run", "mine", "--stage", "world", "--stage", "problem_sets", "--unit", "world"], "needs exactly one --stage, got 'world, problem_sets'"),
        (["run", "mine", "--unit", "world"], "needs exactly one --stage, got 'none'"),
        (["run", "mine", "--stage", "token_shards"], "is not fresh"),
    ):
        assert main(arguments) == 2
        assert words in capsys.readouterr().err


def test_a_failing_stage_keeps_what_it_did_and_says_what_failed(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store.at_home()
    unit = find_unit(find_member("mine"), "world", "world")

    def fail(unit: object, inputs: object, writing: object, **more: object) -> None:
        (writing.folder / "half").write_text("x")  # type: ignore[attr-defined]
        raise ZeroDivisionError("by design")

    with monkeypatch.context() as patched:
        patched.setattr("igsm_pipeline.running.runner.compute", fail)
        with pytest.raises(StageFailed, match="world world failed: ZeroDivisionError: by design"):
            run_unit(unit, store)
        assert main(["run", "mine", "--stage", "world"]) == FAULT
    assert "Traceback" in capsys.readouterr().err
    assert "half done" in store.check(unit).reasons[0]
    assert run_units(find_member("mine"), "world", store)[0].state == "computed"


def test_slices_mean_what_the_paper_says() -> None:
    med = FamilySettings()
    slices = ("op<=max", "op=max", "op=20", "op=21", "reask", "by_op")
    made = {name: slice_set(name, slices, med, num_problems=8, per_op=2, seed=0) for name in slices}
    assert [made[name].op for name in slices] == [None, 15, 20, 21, 20, None]
    assert all(one.split == "test" for one in made.values())
    assert made["reask"].reask
    assert made["by_op"].balanced
    assert made["by_op"].num_problems == 30
    assert len({one.fingerprint() for one in made.values()}) == 6
    assert exact_op("op=max+2", med) == 17
    with pytest.raises(BadSettings, match="must mean an op of 1 to"):
        exact_op("op=max+99", med)


def test_the_tokens_of_a_training_are_real_ones(home: Path) -> None:
    member = find_member("mine")
    training = member.settings.training
    unit = find_unit(member, "checkpoint", "checkpoint")
    windows = training.num_steps * training.batch_windows * member.settings.shards.window
    assert training_tokens(unit) == pytest.approx(0.418 * windows, rel=0.03), "of single mini problems 42% of a window is no padding"
    assert training_tokens(unit, fill=0.5) == windows // 2
    with pytest.raises(NotFound, match="no unit 'x' in stage world"):
        find_unit(member, "world", "x")


def test_streamed_members_have_no_shards_and_know_their_window(home: Path) -> None:
    member = find_member("hard_pq")
    units = units_of(member)
    assert "token_shards" not in {unit.stage for unit in units}
    assert "train" not in {unit.name for unit in units if unit.stage == "problem_sets"}
    assert training_tokens(find_unit(member, "checkpoint", "checkpoint")) == pytest.approx(0.985 * 200_000 * 256 * 1024, rel=0.02)
    assert training_tokens(find_unit(find_member("med_pq"), "checkpoint", "checkpoint")) == pytest.approx(38.7e9, rel=0.02)


def test_what_windows_hold_is_part_of_a_streamed_checkpoint(home: Path) -> None:
    ablated = [find_unit(find_member(f"window_ablation.alignment={one}"), "checkpoint", "checkpoint") for one in ("best_fit", "aligned", "stream")]
    assert len({one.fingerprint for one in ablated}) == 3
    seen = {ablated[0].fingerprint}
    for change in ("window: 512", "seed: 1", "num_problems: 9"):
        (home / "experiments" / "other.yaml").write_text(f"base: med_pq\nprobes: {{tasks: []}}\nshards: {{{change}}}\n")
        seen.add(find_unit(find_member("other"), "checkpoint", "checkpoint").fingerprint)
    assert len(seen) == 3, "window and seed count, the size of a set that is not stored does not"


def test_a_streamed_experiment_trains_from_the_command_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declare(
        home,
        "shards: {streaming: true, window: 128}\nmodel: {layers: 1, heads: 2, head_width: 16}\n"
        "training: {num_steps: 3, batch_windows: 2, accuracy_every_steps: 0, workers: 0, device: cpu}\nevaluation: {monitor_per_op: 1}\n",
    )
    for stage in (["world"], ["problem_sets", "--unit", "monitor"], ["checkpoint"]):
        assert main(["run", "mine", "--stage", *stage]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["computed"] == 1
    assert told["units"][0]["counts"]["steps"] == 3
    assert plan(find_member("mine"), Store.at_home(), ["checkpoint"]).stale == ()
