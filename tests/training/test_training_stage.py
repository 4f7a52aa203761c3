"""The stage writes a folder that transformers loads, learns, counts what is solved, and goes on where it was stopped."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from igsm_pipeline.errors import BadCheckpoint, BadInput
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.decoding import Completions
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings
from igsm_pipeline.problems.files import read_problems
from igsm_pipeline.problems.settings import RetrySettings
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import ShardSettings, TokenSettings, build_table, emit
from igsm_pipeline.tokens.write import write_shards
from igsm_pipeline.training import trainer
from igsm_pipeline.training.curves import read_metrics
from igsm_pipeline.training.monitor import make_monitor
from igsm_pipeline.training.settings import CheckpointSettings, TrainingSettings
from igsm_pipeline.training.write import write_checkpoint
from igsm_pipeline.world import load_world
from igsm_pipeline.world.settings import WorldSettings
from igsm_pipeline.world.write import write_world

FAMILY = FamilySettings(op_max=2, ip_max=4, modulus=5, op_law="uniform", split_by="problem")
PHRASE = TokenSettings(segmentation="phrase")
TINY = ModelSettings(layers=1, heads=2, head_width=16, partial_rotary_factor=0.5)


def settings_of(num_steps: int) -> CheckpointSettings:
    training = TrainingSettings(
        num_steps=num_steps, batch_windows=4, optimizer="muon", warmup_steps=2, precision="fp32", log_every_steps=2, checkpoint_every_steps=2,
        accuracy_every_steps=4, monitor_problems_per_op=3, monitor_max_tokens=12, device="cpu",
    )  # fmt: skip
    return CheckpointSettings(family=FAMILY, tokens=PHRASE, model=TINY, training=training)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small world, shards of 200 problems and 10 to monitor."""
    root = tmp_path_factory.mktemp("inputs")
    folders = {name: root / name for name in ("world", "problems", "shards", "monitor")}
    for folder in folders.values():
        folder.mkdir()
    write_world(WorldSettings(source="mini"), {}, Writing(folders["world"], False))
    write_problem_set(ProblemSetSettings(family=FAMILY, num_problems=200, block_size=256), folders, Writing(folders["problems"], False))
    monitored = ProblemSetSettings(family=FAMILY, num_problems=10, block_size=16, balanced=True, split="test", stream="monitor")
    write_problem_set(monitored, folders, Writing(folders["monitor"], False))
    write_shards(ShardSettings(family=FAMILY, tokens=PHRASE, window=128), folders, Writing(folders["shards"], False))
    return folders


@pytest.fixture(scope="module")
def trained(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Writing:
    """A checkpoint after 8 steps."""
    writing = Writing(tmp_path_factory.mktemp("checkpoint"), False)
    write_checkpoint(settings_of(8), inputs, writing)
    return writing


def test_canonical_and_runtime_settings_together_give_the_settings_back() -> None:
    settings = settings_of(8)
    assert CheckpointSettings.parse({**settings.canonical(), **settings.runtime()}, "checkpoint") == settings
    assert "device" not in settings.canonical()["training"]


def test_the_folder_loads_as_model_and_tokenizer(trained: Writing) -> None:
    model = AutoModelForCausalLM.from_pretrained(trained.folder)
    tokenizer = AutoTokenizer.from_pretrained(trained.folder)
    assert len(tokenizer) == model.config.vocab_size
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert model.num_parameters() == trained.counts["parameters"]
    assert not (trained.folder / "state").exists()


def test_the_loss_falls_and_the_monitor_counts_every_op(trained: Writing) -> None:
    rows = read_metrics(trained.folder)
    losses = [row["loss"] for row in rows if "loss" in row]
    assert losses[-1] < losses[0]
    looks = {row["step"]: row["accuracy"] for row in rows if "accuracy" in row}
    assert {step: {op: n for op, (_, n) in look.items()} for step, look in looks.items()} == {step: {"1": 3, "2": 3} for step in (4, 8)}


def test_slices_are_watched_beside_the_ops(inputs: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "reask"
    folder.mkdir()
    asked = ProblemSetSettings(family=FAMILY, law="exact", op=3, reask=True, num_problems=5, block_size=8, split="test", stream="monitor reask")
    write_problem_set(asked, inputs, Writing(folder, False))
    out = Writing(tmp_path / "out", False)
    out.folder.mkdir()
    write_checkpoint(settings_of(4), {**inputs, "monitor:reask": folder}, out)
    (look,) = [row for row in read_metrics(out.folder) if "accuracy" in row]
    assert {op: n for op, (_, n) in look["accuracy"].items()} == {"1": 3, "2": 3}
    assert {name: n for name, (_, n) in look["slices"].items()} == {"reask": 3}
    assert out.counts["warnings"] == 0


def test_a_stopped_run_goes_on_to_the_same_weights(
    inputs: dict[str, Path], trained: Writing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step_of = trainer.Trainer.launch

    def fail_at_five(self: trainer.Trainer, step: int, batch: trainer.Batch) -> None:
        if step == 5:
            raise KeyboardInterrupt
        step_of(self, step, batch)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "launch", fail_at_five)
        with pytest.raises(KeyboardInterrupt):
            write_checkpoint(settings_of(8), inputs, Writing(tmp_path, False))
    again = Writing(tmp_path, True)
    write_checkpoint(settings_of(8), inputs, again)
    wanted, found = load_file(trained.folder / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert again.counts["resumed_step"] == 4
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert [row.get("loss") for row in read_metrics(tmp_path)] == [row.get("loss") for row in read_metrics(trained.folder)]


def test_the_monitor_counts_right_completions_and_no_others(inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    world = load_world(inputs["world"] / "world.json")
    batch = read_problems(inputs["monitor"], world, FAMILY.modulus)
    table = build_table(world, FAMILY.modulus, PHRASE)
    monitor = make_monitor(settings_of(8), batch, table)
    emitted = emit(monitor.verifier.batch, table, "pq")
    written = [emitted.completion(number) for number in range(len(emitted))]
    digits = [int(table.fragment_ids(f" {digit}")[0]) for digit in range(5)]
    place = int(np.flatnonzero(np.isin(written[0], digits))[-1])
    written[0][place] = digits[(digits.index(int(written[0][place])) + 1) % 5]
    written[1] = written[1][written[1] != table.answer]  # ended, but without an answer
    monkeypatch.setattr("igsm_pipeline.training.monitor.complete", lambda *_, **__: Completions(written, np.ones(len(written), bool)))
    assert monitor(None) == {"accuracy": {"1": [1, 3], "2": [3, 3]}}


def test_a_foreign_checkpoint_is_copied_with_the_tokenizer(inputs: dict[str, Path], trained: Writing, tmp_path: Path) -> None:
    settings = settings_of(8).model_copy(update={"model": ModelSettings(path=str(trained.folder))})
    assert "training" not in settings.canonical(), "how a foreign model would have been trained is no part of what it is"
    assert CheckpointSettings.parse({**settings.canonical(), **settings.runtime()}, "checkpoint") == settings
    write_checkpoint(settings, {"world": inputs["world"]}, Writing(tmp_path, False))
    wanted, found = load_file(trained.folder / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert (tmp_path / "tokenizer.json").read_bytes() == (trained.folder / "tokenizer.json").read_bytes()


def test_shards_of_another_table_are_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    settings = settings_of(8).model_copy(update={"tokens": TokenSettings()})
    with pytest.raises(BadInput, match="shards must have the"):
        write_checkpoint(settings, inputs, Writing(tmp_path, False))


def test_a_training_goes_on_from_the_weights_of_another(trained: Writing, inputs: dict[str, Path], tmp_path: Path) -> None:
    """At a vanishing learning rate the weights stay those of the folder; fresh ones are others."""
    settings = settings_of(2)
    still = settings.training.model_copy(update={"learning_rate": 1e-12, "start": str(trained.folder)})
    folders = {name: tmp_path / name for name in ("gone_on", "fresh")}
    for name, training in (("gone_on", still), ("fresh", still.model_copy(update={"start": None}))):
        folders[name].mkdir()
        write_checkpoint(settings.model_copy(update={"training": training}), inputs, Writing(folders[name], False))
    wanted, found, fresh = (load_file(folder / "model.safetensors") for folder in (trained.folder, folders["gone_on"], folders["fresh"]))
    assert found.keys() == wanted.keys()
    assert all(torch.allclose(found[name], wanted[name], rtol=0, atol=1e-8) for name in wanted)
    assert any(not torch.allclose(fresh[name], wanted[name], rtol=0, atol=1e-3) for name in wanted)


def test_a_model_that_takes_back_goes_on_from_one_that_does_not_and_draws_one_embedding(
    trained: Writing, inputs: dict[str, Path], tmp_path: Path
) -> None:
    folders = {name: tmp_path / name for name in ("shards", "gone_on", "deeper")}
    for folder in folders.values():
        folder.mkdir()
    tokens, rate = TokenSettings(segmentation="phrase", back=True), RetrySettings(rate=0.5)
    write_shards(ShardSettings(family=FAMILY, tokens=tokens, window=128, retry=rate), inputs, Writing(folders["shards"], False))
    settings = settings_of(2)
    still = settings.training.model_copy(update={"learning_rate": 1e-12, "start": str(trained.folder)})
    settings = settings.model_copy(update={"training": still, "tokens": tokens})
    write_checkpoint(settings, {**inputs, "shards": folders["shards"]}, Writing(folders["gone_on"], False))
    wanted, found = (load_file(folder / "model.safetensors") for folder in (trained.folder, folders["gone_on"]))
    for name, values in wanted.items():
        assert torch.allclose(found[name][: len(values)], values, rtol=0, atol=1e-8), name
    (name,) = (name for name in wanted if len(found[name]) > len(wanted[name]))
    assert len(found[name]) == len(wanted[name]) + 1
    assert found[name][-1].std() > 0.01
    assert len(AutoTokenizer.from_pretrained(folders["gone_on"])) == len(found[name])
    config = gpt2_rotary.configuration(TINY, len(found[name]) + 1)
    for ids in (0, 1):
        with pytest.raises(BadCheckpoint, match=r"training\.start .*vocab_size must be the member's own"):
            gpt2_rotary.check_start(config, trained.folder, new_ids=ids)


def test_weights_to_start_from_count_by_their_content(trained: Writing, tmp_path: Path) -> None:
    copied = shutil.copytree(trained.folder, tmp_path / "copied")
    here, there = (settings_of(2).training.model_copy(update={"start": str(folder)}) for folder in (trained.folder, copied))
    assert here.fingerprint() == there.fingerprint() != settings_of(2).training.fingerprint()
    with (copied / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    assert here.fingerprint() != there.fingerprint()
    settings = settings_of(2).model_copy(update={"training": here})
    assert CheckpointSettings.parse({**settings.canonical(), **settings.runtime()}, "checkpoint") == settings


def test_weights_of_another_architecture_or_other_tokens_are_refused(trained: Writing, inputs: dict[str, Path], tmp_path: Path) -> None:
    settings = settings_of(2)
    training = settings.training.model_copy(update={"start": str(trained.folder)})
    more_heads = settings.model_copy(update={"training": training, "model": TINY.model_copy(update={"heads": 4, "head_width": 8})})
    with pytest.raises(BadCheckpoint, match=r"training\.start .*num_attention_heads must be the member's own, 4, got 2"):
        write_checkpoint(more_heads, inputs, Writing(tmp_path, False))
    spelled = shutil.copytree(trained.folder, tmp_path / "spelled")
    text = (spelled / "tokenizer.json").read_text(encoding="utf-8")
    vocabulary = json.loads(text)["model"]["vocab"]
    first, second = list(vocabulary)[-2:]
    swapped = text.replace(json.dumps(first), "@@").replace(json.dumps(second), json.dumps(first)).replace("@@", json.dumps(second))
    (spelled / "tokenizer.json").write_text(swapped, encoding="utf-8")
    other = settings.model_copy(update={"training": training.model_copy(update={"start": str(spelled)})})
    with pytest.raises(BadInput, match="tokens"):
        write_checkpoint(other, inputs, Writing(tmp_path, False))
    with pytest.raises(BadCheckpoint, match=r"training\.start .* must hold config\.json"):
        settings.model_copy(update={"training": training.model_copy(update={"start": str(tmp_path / "none")})}).fingerprint()
