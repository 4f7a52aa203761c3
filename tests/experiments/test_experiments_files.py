"""Experiment files: what is refused and in which words, how grids name members, and that the built-in files load."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from igsm_pipeline.errors import BadSettings, NotFound
from igsm_pipeline.experiments import find_member, find_members, load_experiments, load_members
from igsm_pipeline.experiments.experiment import Broken
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.planning.planner import usable_plans
from igsm_pipeline.store import Store


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IGSM_EXPERIMENTS", str(tmp_path))
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.yaml").write_text(text)


def test_every_built_in_file_loads_and_every_key_can_be_a_partition(folder: Path) -> None:
    members = load_members()
    assert {"mini", "med_pq", "med_qp", "hard_pq", "hard_qp", "depth_med.GPT2-4-21.s0", "depth_hard.GPT2-20-13.s1"} <= members.keys()
    assert all(re.fullmatch(r"[A-Za-z0-9._=-]+", key) for key in members)
    assert len(load_experiments()["depth_med"].members) == 20
    deep = members["depth_med.GPT2-20-9.s1"].settings
    assert (deep.model.layers, deep.model.heads, deep.training.seed) == (20, 9, 1)


def test_the_papers_values_stand_in_the_papers_experiments(folder: Path) -> None:
    med, hard = find_member("med_pq").settings, find_member("hard_qp").settings
    assert (med.family.op_max, med.family.ip_max, med.family.modulus, med.family.format) == (15, 20, 23, "pq")
    assert (hard.family.op_max, hard.family.ip_max, hard.family.format) == (21, 28, "qp")
    assert (med.training.num_steps, med.training.batch_windows, med.shards.window, med.training.weight_decay) == (100_000, 512, 768, 0.05)
    assert (hard.training.num_steps, hard.training.batch_windows, hard.shards.window, hard.training.weight_decay) == (200_000, 256, 1024, 0.03)
    assert (med.training.learning_rate, med.training.betas, med.training.floor, med.training.warmup_steps) == (2e-3, (0.9, 0.98), 0.01, 1000)
    assert med.evaluation.num_problems == 4096
    assert med.evaluation.beams == (1, 4)


def test_the_two_members_of_mini_pq_differ_from_mini_in_the_questions_place_alone(folder: Path) -> None:
    mini, pq, qp = (find_member(key) for key in ("mini", "mini_pq.pq", "mini_pq.qp"))
    trained = [{unit.name: unit.fingerprint for unit in units_of(member) if unit.stage == "checkpoint"} for member in (mini, pq, qp)]
    assert trained[0] == trained[2] != trained[1]
    assert (pq.settings.family.format, qp.settings.family.format) == ("pq", "qp")
    behind = mini.settings.family.model_copy(update={"format": "pq"})
    assert (pq.settings.family, pq.settings.training, pq.settings.model) == (behind, mini.settings.training, mini.settings.model)
    assert all(part in pq.settings.interchange.claim for part in ("at least 500", "60 %", "10 %", "layer 4", "refuted"))


def test_a_grid_makes_every_combination_and_names_it(folder: Path) -> None:
    write(folder, "mine", "grid: {model.layers: [2, 4], training.seed: {s0: 0, s1: 1}, size: {wide: {model.heads: 3, model.head_width: 32}}}")
    members = load_experiments()["mine"].members
    assert [member.key for member in members] == [f"mine.layers={layers}.s{seed}.wide" for layers in (2, 4) for seed in (0, 1)]
    last = members[-1]
    assert (last.settings.model.layers, last.settings.model.heads, last.settings.training.seed) == (4, 3, 1)
    assert dict(last.labels) == {"model.layers": "layers=4", "training.seed": "s1", "size": "wide"}
    assert [member.key for member in find_members(["mine.layers=4.s1.wide", "mine"])][:2] == ["mine.layers=4.s1.wide", "mine.layers=2.s0.wide"]
    assert len(find_members(["mine", "mine"])) == 4


def test_a_file_changes_what_its_base_says_and_keeps_the_rest(folder: Path) -> None:
    write(folder, "mine", "base: mini\nmodel: {layers: 7}\narchived: true")
    mine, mini = load_experiments()["mine"], find_member("mini").settings
    settings = mine.members[0].settings
    assert settings.model.layers == 7
    assert settings.model.heads == mini.model.heads
    assert settings.family == mini.family
    assert mine.archived
    assert mine.members[0].archived


REFUSED = {
    "unknown section": ("modle: {layers: 2}", r"mine\.yaml: modle must be a known setting.*known settings are .*model"),
    "unknown field": ("model: {layerz: 2}", r"mine\.yaml: model\.layerz must be a known setting.*layers"),
    "out of range": ("model: {layers: 0}", r"mine\.yaml: model\.layers must hold: .*greater than or equal to 1, got 0"),
    "wrong type": ("training: {num_steps: many}", r"training\.num_steps .*got 'many'"),
    "not a mapping": ("- 1", "must be a mapping"),
    "not YAML": ("a: [1", "must be a YAML file"),
    "a key twice": ("title: a\ntitle: b", "stands twice"),
    "other name": ("name: other", r"name must be the file's name 'mine', got 'other'"),
    "unknown base": ("base: nowhere", "base must be another experiment"),
    "base of itself": ("base: mine", "base must be another experiment"),
    "archived is no boolean": ("archived: maybe", "archived must be true or false"),
    "grid is no mapping": ("grid: [1]", "grid must map an axis to its values"),
    "grid axis is a scalar": ("grid: {model.layers: 2}", r"grid\.model\.layers must be a list of values"),
    "grid axis is empty": ("grid: {model.layers: []}", "at least one value and none twice"),
    "grid value twice": ("grid: {model.layers: [2, 2]}", "at least one value and none twice"),
    "grid field unknown": ("grid: {model.layerz: [2]}", r"member mine\.layerz=2\): model\.layerz must be a known setting"),
    "grid through a value": ("title: a\ngrid: {title.b: [2]}", "must lead through sections"),
    "grid label of dots": ('grid: {model.layers: {"..b": 2}}', r"member mine\.\.\.b\) must not have three dots in a row.*got 'mine\.\.\.b'"),
    "grid label": ('grid: {model.layers: {"a b": 2}}', "must be at most 100 of the characters"),
    "slice": ("evaluation: {slices: [op<max]}", "a slice must be"),
    "slice twice": ("evaluation: {slices: [reask, reask]}", "must not name anything twice"),
    "task": ("probes: {tasks: [all]}", r"probes\.tasks"),
    "beam": ("evaluation: {beams: [0]}", "beams must be at least 1"),
    "a layer that no probe can read": ("base: mini\nprobes: {layers: [2, 9]}", r"probes.layers must be layers of the model, 1 to 8, got 9"),
    "a layer that is not kept": (
        "base: mini\nprobes: {keep_states: chosen, kept_layers: [9]}",
        r"probes.kept_layers must be layers of the model, 0 to 8, got 9",
    ),
    "no layer to keep": ("probes: {keep_states: chosen}", r"probes.kept_layers must name a layer where keep_states is chosen, got none"),
    "layers to keep where none are": ("probes: {kept_layers: [1]}", r"probes.kept_layers must be empty unless keep_states is chosen, got \[1\]"),
    "a layer to keep below the embedding": ("probes: {keep_states: chosen, kept_layers: [-1]}", r"probes.kept_layers are counted from 0"),
    "a layer that has no states": ("base: mini\ninterchange: {layers: [9]}", r"interchange.layers must be layers of the model, 1 to 8, got 9"),
    "a layer below the embedding": ("interchange: {layers: [-1, 0]}", r"interchange.layers .*counted from 0"),
    "no layer at all": ("interchange: {layers: []}", r"interchange.layers .*at least one"),
    "a control that there is not": ("knowledge: {controls: [random]}", r"knowledge.controls"),
    "a control twice": ("knowledge: {controls: [permuted, permuted]}", r"knowledge.controls must not name anything twice"),
    "a push behind the last layer": ("base: mini\nsteering: {layers: [8]}", r"steering.layers must be below the model's last layer, 8, got 8"),
    "an erasure behind the last layer": ("base: mini\nerasure: {layers: [8]}", r"erasure.layers must be below the model's last layer, 8, got 8"),
    "an erasure about a pair": ("erasure: {tasks: [nece, dep]}", r"tasks must be about one parameter, as nece, can_next, known are, got dep"),
    "drills without a sum": (
        "base: mini\nfamily: {op_max: 2}\nshards: {drills: {share: 0.1}}",
        r"family.op_max must be above 2 for drills, got 2",
    ),
    "drills that lead stored windows": ("base: mini\nshards: {drills: {lead: 1}}", r"streaming must be true for drills that lead, got False"),
    "regret of a model that takes back": ("base: mini_retry\nregret: {problems: 8}", r"regret.problems must be 0 where tokens.back is true"),
    "regret without greedy": ("base: mini\nevaluation: {beams: [4]}\nregret: {problems: 8}", r"evaluation.beams must hold 1 where regret.problems"),
    "regret without a try": ("regret: {tries: [0]}", r"tries are counted from 1"),
    "a push that pulls": ("steering: {strengths: [-0.1]}", r"strengths are shares of a norm"),
    "a field like a known one": (
        "base: mini\ntraining: {sed: 1}",
        r"training\.sed must be a known setting, got 1; did you mean seed\? known settings are ",
    ),
    "yes where a number belongs": ("training: {num_steps: yes}", r"training\.num_steps must be no true or false .*got True"),
    "on in a list of numbers": ("probes: {layers: [2, on]}", r"probes\.layers must be no true or false"),
    "a time where a number belongs": ("training: {num_steps: 1:30}", r"training\.num_steps .*got '1:30'"),
    "more members than anybody runs": (
        "grid: {training.seed: [" + ", ".join(map(str, range(40))) + "], shards.seed: [" + ", ".join(map(str, range(40))) + "]}",
        r"grid must make 1,000 members at most, got 1600",
    ),
    "a layer twice": ("interchange: {layers: [1, 1]}", r"interchange.layers .*must not name anything twice"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_file_is_refused_with_file_field_rule_and_value(folder: Path, case: str) -> None:
    text, words = REFUSED[case]
    write(folder, "mine", text)
    with pytest.raises(BadSettings, match=words) as refused:
        load_experiments()
    assert "mine" in str(refused.value)


@pytest.mark.parametrize("name", ["a b", "a+b", "ä"])
def test_a_file_name_that_no_partition_can_have_is_refused(folder: Path, name: str) -> None:
    write(folder, name, "title: x")
    with pytest.raises(BadSettings, match="A-Z a-z 0-9"):
        load_experiments()


@pytest.mark.parametrize("asked", ["mini", "mini_depth"])
def test_a_file_of_ones_own_with_a_built_in_name_is_refused_by_that_name_and_no_other(folder: Path, asked: str) -> None:
    write(folder, "mini", "title: mine")
    if asked == "mini":
        with pytest.raises(BadSettings, match=r"mini\.yaml: name must differ from the experiment in .*, got .*mini"):
            find_members([asked])
    else:
        assert find_members([asked])


def test_a_built_in_name_is_not_taken_twice_and_two_files_cannot_make_one_member(folder: Path) -> None:
    write(folder, "mini", "title: x")
    with pytest.raises(BadSettings, match="must differ from the experiment in"):
        load_experiments()
    (folder / "mini.yaml").unlink()
    write(folder, "mine", "grid: {model.layers: {b: 2}}")
    write(folder, "mine.b", "title: x")
    with pytest.raises(BadSettings, match="must not make a member that"):
        load_experiments()


def test_what_does_not_exist_is_named_with_what_does(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match=r"no member 'minni'.*mini"):
        find_member("minni")
    monkeypatch.setenv("IGSM_EXPERIMENTS", str(folder / "absent"))
    with pytest.raises(BadSettings, match="IGSM_EXPERIMENTS must be a folder"):
        load_experiments()


def test_an_edited_file_counts_at_once(folder: Path) -> None:
    write(folder, "mine", "model: {layers: 2}")
    assert find_member("mine").settings.model.layers == 2
    write(folder, "mine", "model: {layers: 31}")
    assert find_member("mine").settings.model.layers == 31


def test_numbers_are_read_as_they_are_written(folder: Path) -> None:
    write(folder, "mine", "training: {num_steps: 1_000, warmup_steps: 010, learning_rate: 1.0e-4, weight_decay: .5, seed: 0x10, floor: 0}")
    training = find_member("mine").settings.training
    assert (training.num_steps, training.warmup_steps, training.learning_rate, training.weight_decay) == (1000, 10, 1e-4, 0.5)
    assert (training.seed, training.floor) == (16, 0)


def test_paths_count_from_the_experiment_file_and_built_in_worlds_have_none(folder: Path) -> None:
    write(folder, "mine", "world: {source: my/world.json}\nmodel: {path: model}\ntraining: {start: ../first}")
    settings = find_member("mine").settings
    assert Path(settings.training.start or "") == folder / ".." / "first"
    assert Path(settings.world.source) == folder / "my" / "world.json"
    assert Path(settings.model.path or "") == folder / "model"
    write(folder, "mine", "world: {source: /there/world.json}")
    assert find_member("mine").settings.world.source == "/there/world.json"
    write(folder, "mine", "world: {source: mini}")
    assert find_member("mine").settings.world.source == "mini"


ALIASES = "[" + ", ".join(["&z0 [x]", *(f"&z{level} [{', '.join([f'*z{level - 1}'] * 10)}]" for level in range(1, 10))]) + "]"
"""Ten lists, each of the one before ten times: a billion values."""
BROKEN = {
    "a thousand deep": "model: " + "[" * 3000 + "]" * 3000,
    "mappings a thousand deep": "model: " + "{a: " * 3000 + "1" + "}" * 3000,
    "an infinite rate": "training: {learning_rate: .inf}",
    "no number": "training: {learning_rate: .nan}",
    "an overflow": "training: {weight_decay: 1.0e+400}",
    "infinity in a list": "training: {betas: [0.9, -.inf]}",
    "a number of five thousand digits": "training: {seed: " + "9" * 5000 + "}",
    "a list where a mapping belongs": "training: [1, 2]",
    "null": "training: null",
    "a date": "title: 2020-02-31",
    "a set": "training: !!set {a, b}",
    "an odd key": "? [1, 2]\n: 3",
    "null character": "title: a\0b",
    "aliases of aliases in a grid": f"grid: {{model.layers: {ALIASES}}}",
    "aliases of aliases in a list": f"probes: {{tasks: {ALIASES}}}",
    "aliases of aliases in a mapping": f"title: {{a: {ALIASES}}}",
}


RULES = {
    "training: {num_steps: 100000000000000000000}": "training.num_steps must be at most 9223372036854775807, the largest whole number of a table",
    "training: {num_steps: 7, cycles: 2}": "training.num_steps must be a multiple of cycles, got 7 and 2; change one of the two",
    "evaluation: {beams: [0]}": "evaluation.beams must be at least 1, got [0]; correct the list",
    "probes: {layers: [1, 1]}": "probes.layers must not name anything twice, got [1, 1]; correct the list",
    "probes: {layers: [99]}": "probes.layers must be layers of the model, 1 to 8, got 99; correct the list",
    "model: {head_width: 3}": "model.partial_rotary_factor must rotate an even number of a head's dimensions, got 0 of 3; change one of the two",
    "family: {num_symbols: 1}": "family.num_symbols must be at least op_max 3, one symbol per operation, got 1; raise it",
    "tokens: {segmentation: checkpoint}": "tokens.segmentation checkpoint needs a model.path whose tokenizer it is",
}


@pytest.mark.parametrize("text", RULES)
def test_a_rule_between_settings_names_field_rule_value_and_way_out(folder: Path, text: str) -> None:
    write(folder, "mine", f"base: mini\n{text}")
    with pytest.raises(BadSettings, match=re.escape(f"{folder / 'mine.yaml'}: {RULES[text]}")):
        find_member("mine")


@pytest.mark.parametrize("kind", BROKEN)
def test_one_broken_file_is_one_line_and_costs_no_other_member(folder: Path, kind: str) -> None:
    write(folder, "broken", BROKEN[kind])
    write(folder, "mine", "base: mini")
    broken: Broken = {}
    assert {"mini", "mine"} <= load_members(broken).keys()
    (error,) = broken.values()
    assert str(folder / "broken.yaml") in str(error)
    assert len(str(error)) < 1000
    with pytest.raises(BadSettings):
        load_members()
    with pytest.raises(BadSettings):
        find_member("broken")
    assert find_member("mine").key == "mine"


def test_a_pipe_or_a_device_in_the_place_of_a_file_is_named_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.yaml")
    (folder / "endless.yaml").symlink_to("/dev/zero")
    broken: Broken = {}
    assert "mini" in load_members(broken)
    assert [path.name for path in broken] == ["endless.yaml", "pipe.yaml"]
    assert all("must be a YAML file, got 'something else than a file'" in str(error) for error in broken.values())


def test_a_file_that_rests_on_a_broken_one_is_left_out_with_it(folder: Path) -> None:
    write(folder, "broken", "model: {layers: .inf}")
    write(folder, "mine", "base: broken")
    broken: Broken = {}
    assert "mini" in load_members(broken)
    assert {path.stem for path in broken} == {"broken", "mine"}


NAMELESS = {
    "model": "base: mini\nmodel: {path: ../nosuch}\n",
    "slices": 'base: mini\nevaluation: {slices: ["op=99"]}\n',
    "problems": "base: mini\nproblems: {source: nosuch.jsonl}\n",
    "world": "base: mini\nworld: {source: nosuch.json}\n",
}


@pytest.mark.parametrize("name", NAMELESS)
def test_whatever_is_wrong_the_experiment_file_is_named(tmp_path, monkeypatch, name):
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    (tmp_path / "experiments").mkdir()
    path = tmp_path / "experiments" / f"broken_{name}.yaml"
    path.write_text(NAMELESS[name])
    broken: Broken = {}
    assert usable_plans(Store.at_home(), broken)
    assert [*broken] == [path]
    assert str(path) in str(broken[path])


def test_a_link_that_leads_nowhere_is_called_a_link(tmp_path, monkeypatch):
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    (tmp_path / "experiments").mkdir()
    path = tmp_path / "experiments" / "dangling.yaml"
    path.symlink_to(tmp_path / "nowhere.yaml")
    broken: Broken = {}
    load_members(broken)
    assert "correct or remove the link" in str(broken[path])
