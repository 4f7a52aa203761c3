"""Any causal model with a tokenizer goes through evaluation and probing in place of a trained one, by content and not by place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from reference.byte_tokenizer import write_byte_tokenizer
from reference.foreign_models import SHAPES, make_foreign
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from igsm_pipeline.costs import size_behind
from igsm_pipeline.errors import BadCheckpoint, BadSettings
from igsm_pipeline.experiments import find_member
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.planning.estimates import FOLDER_BYTES, disk_of
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.planning.planner import find_unit, plan
from igsm_pipeline.planning.preflight import check_plan, check_start, check_window
from igsm_pipeline.running.__main__ import main
from igsm_pipeline.store import Store

FILE = """
base: mini
model: {{path: {path}}}
tokens: {{segmentation: {segmentation}}}
evaluation: {{num_problems: 3, slices: ["op<=max"], max_tokens: 900}}
probes: {{tasks: [nece], slices: ["op<=max"], num_problems: 6, num_steps: 2, batch_problems: 2, per_problem: 2}}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root beside a foreign model: a tiny Llama that reads bytes and has more rows than its tokenizer has tokens."""
    monkeypatch.setenv("IGSM_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "experiments").mkdir(parents=True)
    folder = tmp_path / "brought"
    folder.mkdir()
    write_byte_tokenizer(folder)
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    LlamaForCausalLM(LlamaConfig(vocab_size=272, max_position_embeddings=2048, **shape)).save_pretrained(folder)
    declare(tmp_path / "home", folder)
    return tmp_path / "home"


def declare(home: Path, path: Path, segmentation: str = "checkpoint") -> None:
    (home / "experiments" / "brought.yaml").write_text(FILE.format(path=path, segmentation=segmentation))


def test_a_foreign_model_is_known_by_its_content(home: Path, tmp_path: Path) -> None:
    def fingerprint() -> str:
        return find_unit(find_member("brought"), "checkpoint", "checkpoint").fingerprint

    first = fingerprint()
    names = {unit.name for unit in units_of(find_member("brought")) if unit.stage in ("problem_sets", "token_shards")}
    assert names == {"op<=max", "probe_train", "interchange own", "interchange twins"}, "nothing is made for a training that does not take place"
    moved = tmp_path / "moved"
    shutil.copytree(tmp_path / "brought", moved)
    declare(home, moved)
    assert fingerprint() == first
    text = (moved / "tokenizer.json").read_text()
    (moved / "tokenizer.json").write_text(text + " ")
    assert fingerprint() != first
    (home / "experiments" / "lost.yaml").write_text("base: mini\ntokens: {segmentation: checkpoint}\n")
    with pytest.raises(BadSettings, match=r"needs a model\.path"):
        find_member("lost")


def test_a_tokenizer_of_other_ids_is_refused(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declare(home, tmp_path / "brought", "phrase")
    assert main(["run", "brought", "--stage", "world"]) == 0
    assert main(["run", "brought", "--stage", "checkpoint"]) == 2
    assert "the ids of the model's own tokenizer" in capsys.readouterr().err


def test_a_foreign_model_with_its_own_tokenizer_is_planned_and_sized_by_its_files(home: Path, tmp_path: Path) -> None:
    store, member = Store.at_home(), find_member("brought")
    check_plan(plan(member, store), store)
    size = (tmp_path / "brought" / "model.safetensors").stat().st_size
    assert size <= disk_of(find_unit(member, "checkpoint", "checkpoint")) < size + 2 * FOLDER_BYTES
    assert disk_of(find_unit(member, "control", "control")) < size + 2 * FOLDER_BYTES
    cache = next(unit for unit in units_of(member) if unit.stage == "activation_cache")
    assert size_behind(cache) == (16, 3)


@pytest.mark.parametrize("stage", STAGES)
def test_any_one_stage_of_it_is_checked_alone(home: Path, stage: str) -> None:
    store = Store.at_home()
    check_plan(plan(find_member("brought"), store, [stage]), store)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("probes: {keep_states: chosen, kept_layers: [0, 3]}", "probes.kept_layers must be layers of the model, 0 to 2, got 3"),
        ("probes: {layers: [2, 9]}", "probes.layers must be layers of the model, 1 to 2, got 9"),
        ("steering: {layers: [2]}", "steering.layers must be below the model's last layer, 2, got 2"),
        ("interchange: {layers: [5]}", "interchange.layers must be layers of the model, 1 to 2, got 5"),
    ],
)
def test_a_layer_that_a_foreign_model_has_not_is_refused_before_anything_is_computed(home: Path, line: str, wrong: str) -> None:
    (home / "experiments" / "deep.yaml").write_text(f"base: brought\n{line}\n")
    store = Store.at_home()
    with pytest.raises(BadSettings, match=f"{wrong}; correct the list"):
        check_plan(plan(find_member("deep"), store), store)


def test_first_weights_of_another_architecture_are_refused_before_anything_is_computed(home: Path, tmp_path: Path) -> None:
    (home / "experiments" / "longer.yaml").write_text(f"base: mini\ntraining: {{start: {tmp_path / 'brought'}}}\n")
    store, member = Store.at_home(), find_member("longer")
    with pytest.raises(BadCheckpoint, match=r"training\.start .*: model_type must be the member's own, gpt_neox, got 'llama'"):
        check_plan(plan(member, store), store)


def test_drills_are_not_looked_at_where_nothing_is_trained(home: Path) -> None:
    (home / "experiments" / "drilled.yaml").write_text("base: brought\nshards: {window: 32, drills: {share: 0.2}}\n")
    check_window(find_member("drilled"))
    (home / "experiments" / "trained.yaml").write_text("base: mini\nshards: {window: 32, drills: {share: 0.2}}\n")
    with pytest.raises(BadSettings, match="must hold every drill"):
        check_window(find_member("trained"))


def test_offset_heads_in_layers_that_first_weights_fill_are_refused(home: Path, tmp_path: Path) -> None:
    layers = find_member("mini").settings.model.layers
    build_and_save(find_member("mini").settings.model, tmp_path / "first")
    file = "base: mini\ntraining: {{start: {}}}\nmodel: {{layers: {}, offset_heads: [[{}, 1, 3]]}}\n"
    for number, layer, rule in (
        (layers + 1, layers, rf"fill, \[{layers + 1}\], got {layers}"),
        (layers, 1, "fill, of which there are none, got 1"),
    ):
        (home / "experiments" / "longer.yaml").write_text(file.format(tmp_path / "first", number, layer))
        with pytest.raises(BadSettings, match=rf"offset_heads must be in layers that training\.start does not {rule}"):
            check_start(find_member("longer").settings, 127, 0)
    (home / "experiments" / "longer.yaml").write_text(file.format(tmp_path / "first", layers + 1, layers + 1))
    check_start(find_member("longer").settings, 127, 0)


def build_and_save(settings: ModelSettings, folder: Path) -> None:
    gpt2_rotary.save(gpt2_rotary.build(settings, 127, 2048, 0), folder)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_a_foreign_model_is_evaluated_and_probed(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: str) -> None:
    make_foreign(shape, 272, 1).save_pretrained(tmp_path / "brought")
    assert main(["run", "brought"]) == 0
    told = {row["stage"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert {"generations", "verdicts", "activation_cache", "linear_probes", "v_probes", "report"} <= told.keys()
    assert "token_shards" not in told
    store, member = Store.at_home(), find_member("brought")
    folder = store.path(find_unit(member, "checkpoint", "checkpoint"))
    wanted, found = load_file(tmp_path / "brought" / "model.safetensors"), load_file(folder / "model.safetensors")
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert (folder / "tokenizer.json").read_bytes() == (tmp_path / "brought" / "tokenizer.json").read_bytes()
    with pytest.raises(SystemExit) as ended:
        from igsm_pipeline.cli import main as igsm  # noqa: PLC0415

        igsm(["solve", "--model", "brought", "--op", "1"])
    assert ended.value.code == 1
    assert "wrong: " in capsys.readouterr().out
