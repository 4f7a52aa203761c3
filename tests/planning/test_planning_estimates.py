"""A plan says what it will cost before anything was ever run, and is refused where that is too much."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import nullcontext
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from reference.own_experiment import declare
from rich.console import Console

import igsm_pipeline
from igsm_pipeline.cli import main
from igsm_pipeline.costs import DECODING, FORWARD, PROBING, TRAINING, parameters_of
from igsm_pipeline.errors import BadSettings, BadWorld, NotFound, StoreError
from igsm_pipeline.experiments import find_member, find_members, load_members
from igsm_pipeline.experiments.problem_sets import problem_sets
from igsm_pipeline.planning import measuring
from igsm_pipeline.planning.estimates import FARTHEST, SURE, Estimate, disk_of, estimate, estimate_stages, estimate_together, gigabytes
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.planning.measuring import measure_speeds
from igsm_pipeline.planning.planner import find_unit, plan
from igsm_pipeline.planning.preflight import check_plan, check_writable
from igsm_pipeline.planning.speeds import H100, TOGETHER, Speeds, busy, find_known, read_speeds, speeds_path, write_speeds
from igsm_pipeline.problems.law import blocks
from igsm_pipeline.store import Store, read_manifest
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


def test_a_window_that_drills_do_not_fit_into_is_refused_with_the_least_that_does(home):
    drills = "streaming: true, drills: {share: 0.2}"
    declare(home, f"shards: {{window: 40, {drills}}}")
    refuse(r"shards\.window must hold every drill of family\.op_max 3 sentences, which may have 44 tokens, got 40; raise it to 44 or more")
    least = 1 + 2 + 3 + 2 * 10 + 18  # the end before it, what opens and closes it, two constants, a sum; a name is two phrases
    declare(home, f"shards: {{window: {least - 1}, {drills}}}")
    refuse("shards.window")
    declare(home, f"shards: {{window: {least}, {drills}}}")
    check_plan(plan(find_member("mine"), Store.at_home()), Store.at_home())


def test_a_window_that_no_training_problem_fits_into_is_refused_with_the_least_that_does(home):
    declare(home, "shards: {window: 32}")
    refuse(r"shards\.window must hold a training problem with its solution, \d+ tokens at least and \d+ for all .*, got 32; raise it to \d+ or more")
    least = int(refusal().split(" tokens at least")[0].split()[-1])
    declare(home, f"shards: {{window: {least - 1}}}")
    refuse("shards.window")
    declare(home, f"shards: {{window: {least}}}")
    check_plan(plan(find_member("mine"), Store.at_home()), Store.at_home())
    declare(home, "shards: {window: 32, streaming: true}")
    refuse("shards.window")


@pytest.mark.parametrize(
    ("sections", "rule"),
    [
        (
            "family: {num_symbols: 40, ip_max: 2}\nevaluation: {slices: ['op=9']}",
            r"slices: op=9 must mean an op that family\.ip_max 2 .*, 4 at most, got 9",
        ),
        (
            "family: {num_symbols: 3, op_max: 3}\nevaluation: {slices: ['op=max+1']}",
            r"slices: op=max\+1 must mean an op of 1 to 3, got 4; name a smaller",
        ),
        (
            "family: {num_symbols: 40, ip_max: 5}\nevaluation: {slices: [op=26]}\nprobes: {slices: [op=26]}",
            r"slices: op=26 must ask for problems that there are; .* got 'op 26'; ask for op \d+ at most",
        ),
    ],
)
def test_slices_that_would_be_empty_are_refused_before_any_data_is_made(home, sections, rule, monkeypatch):
    monkeypatch.setattr(blocks, "HOPELESS", 2000)  # proposals after which a block gives up
    declare(home, f"{sections}\nbudget: {{disk_gb: 1000}}")
    refuse(rule)
    assert not (home / "store").exists()


def test_reask_needs_no_symbol_more_than_the_family_has(home):
    declare(home, "family: {num_symbols: 3, op_max: 3}\nevaluation: {slices: [reask]}\nprobes: {slices: [reask]}")
    assert problem_sets(find_member("mine").settings)["reask"].op == 3


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


def test_finished_units_of_like_work_tell_the_seconds_and_none_far_from_all(home):
    store = Store.at_home()
    unit = find_unit(find_member("mine"), "problem_sets", "train")
    wanted = unit.settings["num_problems"]
    assert estimate([unit], store).unknown == 1
    for problems, seconds in ((wanted // 2, 10), (wanted // 2 + 1, 16), (wanted // 2 + 2, 11), (wanted // 50, 9)):
        finish(store, problems, seconds)
    found = estimate([unit], store)
    assert (found.low, found.high) == (pytest.approx(22 / SURE, rel=1e-3), pytest.approx(32, rel=1e-3)), (
        "the median is 11 s for half, the slowest 16 s"
    )
    assert (found.unknown, found.corrected) == (0, 1)
    declare(home, f"shards: {{num_problems: {int(wanted * FARTHEST)}}}")
    assert estimate([find_unit(find_member("mine"), "problem_sets", "train")], store).unknown == 1


def test_seconds_follow_work_over_speed_and_finished_units_correct_them(home):
    store = Store.at_home()
    unit = find_unit(find_member("mine"), "problem_sets", "train")
    slow = replace(H100, core=0.001)
    first = estimate([unit], store, slow)
    work = STAGES["problem_sets"].work(unit)
    assert first.low < work / 0.001 < first.high
    assert first.seconds == pytest.approx(work / 0.001)
    finish(store, unit.settings["num_problems"] // 2, 30)
    assert estimate([unit], store, slow).seconds == pytest.approx(60, rel=0.01)
    assert estimate([unit], store, slow, corrected=False) == first


def test_each_manifest_is_read_once_for_an_estimate_and_none_for_the_disk_budget(home, monkeypatch):
    store, read = Store.at_home(), []
    for problems in (2, 3, 4):
        finish(store, problems, 1)
    looked = plan(find_member("mine"), store, ["problem_sets"])
    monkeypatch.setattr("igsm_pipeline.planning.estimates.read_manifest", lambda folder: (read.append(folder), read_manifest(folder))[1])
    check_plan(looked, store)
    first = estimate_stages(looked, store, corrected=False)["problem_sets"]
    assert not read
    assert first.bytes == estimate_stages(looked, store)["problem_sets"].bytes
    assert len(read) == len(set(read)) == 4, "the world, which three sets share, and the sets"


def test_stages_that_use_several_cores_take_that_much_less(home):
    store, member = Store.at_home(), find_member("mine")
    looked = plan(member, store, ["v_probes"])
    one, two = (estimate_stages(looked, store, replace(H100, memory=0, cores=cores, start=0))["v_probes"] for cores in (1, 2))
    assert two.seconds == pytest.approx(one.seconds / 2)
    gpu = estimate_stages(looked, store, replace(H100, cores=2, start=0))["v_probes"]
    assert gpu.seconds == pytest.approx(one.seconds), "units take turns on a GPU"
    number = sum(unit.stage == "v_probes" for unit in looked.stale)
    assert number > 4
    cards = estimate_stages(looked, store, replace(H100, cards=4, start=0))["v_probes"]
    assert cards.seconds == pytest.approx(one.seconds * -(-number // 4) / number), "rounds of four"
    trained = plan(member, store, ["checkpoint"])
    alone, all_of_them = (estimate_stages(trained, store, replace(H100, cards=cards, start=0))["checkpoint"] for cards in (1, 4))
    assert all_of_them.seconds == pytest.approx(alone.seconds / (4 * TOGETHER)), "one training takes all cards"


def cost_on(machine: str, member: str, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, float]]:
    with pytest.raises(SystemExit) as ended:
        main(["plan", member, "--on", machine, "--json"])
    assert ended.value.code == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert "Assumed, not measured" in document["cost_basis"]
    return document["cost"]


def test_the_papers_model_on_one_h100_takes_a_day_or_two_and_little_disk(home, capsys):
    cost = cost_on("h100", "med_pq", capsys)
    probes, training = cost["v_probes"], cost["checkpoint"]
    arithmetic = 12 * 100_000 * 26 * (358 + 110) * 4 * 12 * 12 * 768**2
    assert 2 * arithmetic / 989e12 < probes["low"] < probes["high"] < 10 * arithmetic / 989e12, "bf16 on a GPU"
    assert 8 < training["low"] / 3600 < training["high"] / 3600 < 40
    assert training["tokens"] == pytest.approx(38.7e9, rel=0.02), "best-fit windows are full"
    assert "activation_cache" not in cost
    assert sum(one["bytes"] for one in cost.values()) < 10e9
    assert 20e9 < max(one["memory"] for one in cost.values()) < 80e9


def test_eight_cards_take_a_fraction_of_the_hours_of_one(home, capsys):
    one, eight = (cost_on(machine, "med_pq", capsys) for machine in ("h100", "8xh100"))
    assert one.keys() == eight.keys()
    hours = [sum(stage["seconds"] for stage in cost.values()) / 3600 for cost in (one, eight)]
    assert 4 < hours[0] / hours[1] < 8
    assert eight["checkpoint"]["seconds"] == pytest.approx(one["checkpoint"]["seconds"] / (8 * TOGETHER), rel=0.01)
    assert eight["v_probes"]["seconds"] == pytest.approx(one["v_probes"]["seconds"] * 2 / 12, rel=0.01), "twelve probes in two rounds"
    assert [cost["checkpoint"]["bytes"] for cost in (one, eight)] == [one["checkpoint"]["bytes"]] * 2


def test_speeds_are_kept_with_the_machines_name_and_a_damaged_file_is_none(home, monkeypatch):
    monkeypatch.setattr("igsm_pipeline.planning.speeds.platform.node", lambda: "host/1")
    assert read_speeds(home) is None
    assert write_speeds(H100, home) == home / "speeds" / "host_1.json"
    assert read_speeds(home) == H100
    for text in ("{", "[]", "{}", '{"rates": 3}'):
        speeds_path(home).write_text(text)
        assert read_speeds(home) is None


def test_rates_between_two_widths_lie_between_theirs():
    low, _ = H100.rate(FORWARD, 272, "fp32")
    ends = [H100.rate(FORWARD, width, "fp32") for width in (10, 96, 768, 4096)]
    assert ends[0] == ends[1] == (pytest.approx(67e12 * 0.4 / 8), pytest.approx(67e12 * 0.7 / 8))
    assert ends[2] == ends[3]
    assert low == pytest.approx((ends[1][0] * ends[2][0]) ** 0.5, rel=0.01)
    assert H100.rate(TRAINING, 768, "bf16")[1] == pytest.approx(989e12 * 0.45)
    with pytest.raises(NotFound, match="must be one of h100, 8xh100"):
        find_known("a100")


def test_a_busy_machine_is_told_from_an_idle_one(monkeypatch):
    for load, longer in ((0.3, 1.0), (8.0, 1.5), (32.0, 3.0)):
        monkeypatch.setattr("igsm_pipeline.planning.speeds.os.getloadavg", lambda load=load: (load, 0.0, 0.0))
        assert busy(H100) == longer


def test_the_first_plan_measures_the_machine_once_and_a_refused_one_does_not(home, monkeypatch, capsys):
    measured = []

    def measure() -> Speeds:
        measured.append(1)
        return replace(H100, machine="just measured", memory=0.0)

    speeds_path(home).unlink()
    monkeypatch.setattr("igsm_pipeline.planning.measuring.measure_speeds", measure)
    declare(home, "budget: {disk_gb: 0.01}")
    for words, code in ((["plan", "mine"], 2), (["plan", "mini"], 0), (["plan", "mini"], 0), (["doctor", "--measure"], None)):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert code in (None, ended.value.code)
    assert len(measured) == 2, "by the first plan that is not refused, and by doctor"
    shown = capsys.readouterr().out
    assert "time: just measured (H100" in " ".join(shown.split())
    assert "speed: H100" in " ".join(shown.split())


def test_the_start_of_a_stage_is_that_of_a_process_that_finds_the_kernels_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def start(*_command: object, **_how: object) -> None:
        clock.append(40.0 if len(clock) == 1 else clock[-1] + 3.0)

    monkeypatch.setattr(subprocess, "run", start)
    monkeypatch.setattr(os, "times", lambda: os.times_result((0.0, 0.0, clock[-1], 0.0, 0.0)))
    assert measuring._seconds_to_start() == 3.0


def test_a_node_of_cards_is_measured_in_both_precisions_and_knows_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    card = torch.device("cuda", 0)
    monkeypatch.setattr(measuring, "pick_device", lambda _: card)
    monkeypatch.setattr(measuring, "_seconds_of", lambda *_: 1.0)
    monkeypatch.setattr(measuring, "_seconds_to_start", lambda: 3.0)
    monkeypatch.setattr(torch.nn.Module, "to", lambda model, _: model)
    monkeypatch.setattr(torch.Tensor, "to", lambda values, _: values)
    enabled: list[bool] = []
    monkeypatch.setattr(torch, "autocast", lambda *_, **how: enabled.append(how["enabled"]) or nullcontext())
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "some card")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=80e9))
    found = measure_speeds()
    assert (found.cards, found.device, found.memory) == (8, "some card", 80e9)
    assert {kind for kind in found.rates if kind.endswith(" bf16")} == {f"{kind} bf16" for kind in (TRAINING, PROBING, FORWARD)}
    assert enabled == [False, True] * 2, "frozen models of both widths, in fp32 and in bf16"


@pytest.mark.slow
def test_a_machine_is_measured_in_every_kind_of_work():
    found = measure_speeds("cpu")
    assert found.memory == 0
    for kind in (TRAINING, PROBING, FORWARD, DECODING):
        for low, high in found.rates[kind].values():
            assert 1e7 < low < high < 1e14
    assert found.rates[DECODING][96] < found.rates[FORWARD][96]


def test_a_disk_too_small_is_said_in_gigabytes_as_people_write_them(home, monkeypatch):
    assert [gigabytes(count) for count in (2e7, 1.234e9, 113.4e9)] == ["0.02 GB", "1.2 GB", "113 GB"]
    monkeypatch.setattr("igsm_pipeline.planning.estimates.shutil.disk_usage", lambda _: SimpleNamespace(free=5e9))
    store = Store.at_home()
    (home / "experiments" / "kept.yaml").write_text("base: med_pq\nprobes: {keep_states: all}\n")
    with pytest.raises(BadSettings, match=r"must have 11\d GB free, got .5\.0 GB.*activation_cache, the largest with 10\d GB"):
        check_plan(plan(find_member("kept"), store), store)


def test_members_together_cost_what_they_share_once(home, capsys):
    (home / "experiments" / "pair.yaml").write_text("base: mini\ngrid: {training.seed: {s0: 0, s1: 1}}\n")
    store, plans = Store.at_home(), [plan(member, Store.at_home()) for member in find_members(["pair"])]
    units = {unit for one in plans for unit in one.stale}
    assert len(units) < sum(len(one.stale) for one in plans), "they share their data"
    total = estimate_together(plans, store, H100)
    assert total.bytes == sum(disk_of(unit) for unit in units)
    assert total.tokens == sum(sum(one.tokens for one in estimate_stages(each, store, H100).values()) for each in plans), "each is trained"
    one = sum(estimate_stages(plans[0], store, H100).values(), Estimate())
    assert one.seconds < total.seconds < 2 * one.seconds
    with pytest.raises(SystemExit):
        main(["plan", "pair"])
    shown = " ".join(capsys.readouterr().out.split())
    assert f"together: 2 members, {len(units)} units to compute (what members share counts once), {total.tokens:,} training tokens" in shown
    with pytest.raises(SystemExit):
        main(["plan", "mine"])
    assert "together" not in capsys.readouterr().out


def test_members_that_the_disk_holds_one_by_one_and_not_together_are_refused(home, monkeypatch, capsys):
    (home / "experiments" / "pair.yaml").write_text("base: mini\ngrid: {training.seed: {s0: 0, s1: 1}}\n")
    store, plans = Store.at_home(), [plan(member, Store.at_home()) for member in find_members(["pair"])]
    alone, both = (estimate_together(some, store).bytes for some in (plans[:1], plans))
    monkeypatch.setattr("igsm_pipeline.planning.estimates.shutil.disk_usage", lambda _: SimpleNamespace(free=(alone + both) / 2))
    with pytest.raises(SystemExit) as ended:
        main(["run", "pair"])
    assert ended.value.code == 2
    assert "free space, set IGSM_HOME to another disk, or run fewer members at a time" in capsys.readouterr().err
    assert not list((home / "store").glob("*/*"))


def test_a_price_elsewhere_is_not_told_of_what_no_machine_can_compute(home, capsys):
    declare(home, "evaluation: {max_tokens: 16}")
    with pytest.raises(SystemExit) as ended:
        main(["plan", "mine", "--on", "h100"])
    assert ended.value.code == 2
    assert "evaluation.max_tokens must hold a prompt" in " ".join(capsys.readouterr().err.split())


def finish(store: Store, problems: int, seconds: float) -> None:
    """A finished training set of some problems that took some seconds."""
    unit = find_unit_of(problems)
    with store.write(unit) as writing:
        writing.counts["problems"] = problems
    rewrite_seconds(store, unit, seconds)


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
