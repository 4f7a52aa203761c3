"""V-probes are functions of their seed, survive a kill -9 bit for bit, come back from disk unchanged, and learn."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from igsm_pipeline.activations.forward import SequenceBatch, embed, end_states, freeze, layer_states
from igsm_pipeline.errors import BadCheckpoint
from igsm_pipeline.model.gpt2_rotary import build, save
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.probes import v_training
from igsm_pipeline.probes.convergence import curve_table
from igsm_pipeline.probes.settings import VProbeSettings
from igsm_pipeline.probes.v_probe import WEIGHTS, VProbe, load_probe, predict, read_description, save_probe
from igsm_pipeline.probes.v_training import STATE, Batches, Trained, train_v_probe
from igsm_pipeline.probes.write_v_probe import write_v_probe
from igsm_pipeline.problems import FamilySettings, ProblemBatch, ProblemSetSettings, generate_block
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.processes.stopping import Stopped
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import draw_queries
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.settings import QuerySetSettings, QuerySettings
from igsm_pipeline.queries.write import read_queries, write_queries
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.world import WorldSettings, load_world
from igsm_pipeline.world.write import write_world

FAMILY = FamilySettings(op_max=3, ip_max=5, modulus=5, op_law="uniform", split_by="problem")
TOKENS = TokenSettings(segmentation="phrase")
CPU = torch.device("cpu")
SMALL = ModelSettings(layers=2, heads=2, head_width=16)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def training() -> QueryTokens:
    world = load_world("mini")
    problems = ProblemSetSettings(family=FAMILY, num_problems=64, block_size=64, seed=2, split="all")
    batch: ProblemBatch = generate_block(problems, world, 0)
    (queries,) = draw_queries(batch, QuerySettings(family=FAMILY, task="known"))
    table = build_table(world, FAMILY.modulus, TOKENS)
    return QueryTokens(batch, queries, GoldDocuments(batch, table, "pq"), table)


def recipe(**other: object) -> VProbeSettings:
    values = {"family": FAMILY, "tokens": TOKENS, "task": "known", "num_steps": 12, "batch_problems": 8, "checkpoint_every": 4, **other}
    return VProbeSettings.parse(values, "test")


def train(training: QueryTokens, folder: Path, **other: object) -> tuple[VProbe, np.ndarray]:
    model = freeze(build(SMALL, training.table.size, 128, seed=1))
    trained = train_v_probe(recipe(**other), model, training, num_classes=2, folder=folder, device=CPU, label="test")
    return trained.probe, trained.losses


def same(one: VProbe, other: VProbe) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_two_runs_of_one_seed_are_bitwise_equal_and_another_seed_differs(training: QueryTokens, tmp_path: Path) -> None:
    first, losses = train(training, tmp_path / "a")
    second, again = train(training, tmp_path / "b")
    other, _ = train(training, tmp_path / "c", seed=1)
    assert same(first, second)
    assert np.array_equal(losses, again)
    assert not same(first, other)
    assert np.isfinite(losses).all()


def test_of_several_starts_the_one_with_the_least_trial_loss_goes_on(training: QueryTokens, tmp_path: Path) -> None:
    trial, better = 8, 0
    late = slice(6, 8)
    for seed in range(4):
        _, alone = train(training, tmp_path / f"alone {seed}", seed=seed)
        _, best = train(training, tmp_path / f"best {seed}", seed=seed, starts=3, start_steps=trial)
        assert np.array_equal(best, alone) or best[late].mean() < alone[late].mean()
        better += not np.array_equal(best, alone)
        print("seed", seed, best[late].mean(), alone[late].mean())
    assert better, "in four times three starts the first was always the best"


def test_warm_up_makes_the_first_steps_smaller(training: QueryTokens, tmp_path: Path) -> None:
    at_once, _ = train(training, tmp_path / "a", num_steps=1)
    rising, _ = train(training, tmp_path / "b", num_steps=1, warmup_steps=9)
    np.testing.assert_allclose((rising.bias * 10).detach(), at_once.bias.detach(), rtol=1e-4)


@pytest.mark.parametrize("damage", ["none", "cut", "another byte", "no checksum"])
def test_a_damaged_state_is_reported_and_the_probe_trained_from_its_first_step(
    training: QueryTokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    save, states = v_training._save, []

    def keep(path: Path, *arguments: Any) -> None:
        save(path, *arguments)
        states.append(path.read_bytes())

    monkeypatch.setattr(v_training, "_save", keep)
    whole, losses = train(training, tmp_path / "whole", num_steps=20)
    saved, place = states[0], tmp_path / "cut" / STATE
    place.parent.mkdir()
    place.write_bytes(saved[:-3] if damage == "cut" else saved[:-1] + bytes([saved[-1] ^ 1]) if damage == "another byte" else saved)
    if damage == "no checksum":
        save_file(load_file(place), place)
    resumed, again = train(training, tmp_path / "cut", num_steps=20)
    assert same(whole, resumed)
    assert np.array_equal(losses, again)
    assert ("is damaged" in caplog.text) == (damage != "none")


@pytest.mark.parametrize("starts", [1, 3])
def test_a_run_killed_with_sigkill_ends_bitwise_as_an_unbroken_one(training: QueryTokens, tmp_path: Path, starts: int) -> None:
    many = {"num_steps": 40, "starts": starts, "start_steps": 5}
    whole, losses = train(training, tmp_path / "whole", **many)
    child = os.fork()
    if child == 0:
        train(training, tmp_path / "cut", **many)
        os._exit(0)
    while not (tmp_path / "cut" / STATE).exists():
        assert os.waitpid(child, os.WNOHANG)[0] == 0, "the child ended before its first state"
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert (tmp_path / "cut" / STATE).exists()
    resumed, again = train(training, tmp_path / "cut", **many)
    assert same(whole, resumed)
    assert np.array_equal(losses, again)


def test_held_out_problems_are_scored_and_never_trained_on(training: QueryTokens, tmp_path: Path) -> None:
    model = freeze(build(SMALL, training.table.size, 128, seed=1))

    def run(held_out: int, folder: str) -> Trained:
        settings = recipe(num_steps=24, held_out=held_out)
        return train_v_probe(settings, model, training, num_classes=2, folder=tmp_path / folder, device=CPU, label="test")

    part = run(16, "part")
    assert sorted(part.curve.answers) == list(range(2, 25, 2))
    held = set(training.problem[part.curve.rows].tolist())
    assert held == set(training.problems[-16:].tolist())
    said = predict(part.probe, model, training, device=CPU, max_tokens=4000)[0]
    assert np.array_equal(part.curve.answers[24], said[part.curve.rows])
    flipped = QueryTokens(
        training.batch,
        training.queries.set_column(
            training.queries.column_names.index("label"),
            "label",
            pa.array(
                np.where(np.isin(training.problem, list(held)), 1 - training.label, training.label), training.queries.schema.field("label").type
            ),
        ),
        training.documents,
        training.table,
    )
    settings = recipe(num_steps=24, held_out=16)
    again = train_v_probe(settings, model, flipped, num_classes=2, folder=tmp_path / "flipped", device=CPU, label="test")
    assert same(part.probe, again.probe), "labels of held-out problems reached the training"
    assert not same(part.probe, run(0, "all").probe)
    few = run(1000, "few")
    assert len(set(training.problem[few.curve.rows].tolist())) == len(training.problems) // 2, "half of the problems stay to train on"


def test_a_curve_broken_off_and_resumed_is_the_whole_one(training: QueryTokens, tmp_path: Path) -> None:
    model = freeze(build(SMALL, training.table.size, 128, seed=1))
    settings = recipe(num_steps=24, held_out=16)
    how = {"num_classes": 2, "device": CPU, "label": "test"}
    whole = train_v_probe(settings, model, training, folder=tmp_path / "whole", **how)
    course_of = v_training._Training.step
    steps = 0

    def stopping(self: object, course: object) -> None:
        nonlocal steps
        steps += 1
        if steps == 15:
            raise Stopped(signal.SIGTERM)
        course_of(self, course)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(v_training._Training, "step", stopping)
        train_v_probe(settings, model, training, folder=tmp_path / "cut", **how)
    resumed = train_v_probe(settings, model, training, folder=tmp_path / "cut", **how)
    assert same(whole.probe, resumed.probe)
    assert sorted(whole.curve.answers) == sorted(resumed.curve.answers)
    assert all(np.array_equal(said, resumed.curve.answers[step]) for step, said in whole.curve.answers.items())


def test_a_curve_tells_a_rising_probe_from_a_settled_one() -> None:
    random = np.random.default_rng(0)
    label = random.integers(2, size=4000)
    problem = np.repeat(np.arange(400), 10)

    def answer(right: float) -> np.ndarray:
        return np.where(random.random(4000) < right, label, 1 - label).astype(np.int16)

    late = answer(0.8)
    rows = curve_table(
        label, problem, {3: answer(0.6), 9: late, 12: np.where(random.random(4000) < 0.5, answer(0.8), late)}, num_classes=2
    ).to_pylist()
    assert [row["step"] for row in rows] == [3, 9, 12]
    assert rows[0]["balanced_accuracy"] == pytest.approx(0.6, abs=0.04)
    assert rows[0]["gain_left_low"] > 0.1
    assert rows[1]["gain_left_low"] < 0 < rows[1]["gain_left_high"]
    assert rows[2]["gain_left"] == 0


def test_a_probe_of_one_layer_reads_that_layer_and_no_later_one(training: QueryTokens, tmp_path: Path) -> None:
    model = freeze(build(SMALL, training.table.size, 128, seed=1))
    probe = VProbe(training.table.size, 32, 2, 8, seed=0, layer=1)
    save_probe(probe, tmp_path, "known")
    before = predict(load_probe(tmp_path), model, training, device=CPU, max_tokens=4000)[1]
    last = predict(VProbe(training.table.size, 32, 2, 8, seed=0), model, training, device=CPU, max_tokens=4000)[1]
    batch = SequenceBatch.of(training.pack(np.arange(8)), CPU)
    embedded = embed(model, batch.ids)
    torch.testing.assert_close(end_states(model, batch, embedded, 1), layer_states(model, batch, (1,))[1][batch.rows, batch.ends])
    torch.testing.assert_close(end_states(model, batch, embedded, 2), end_states(model, batch, embedded))
    with torch.no_grad():
        model.gpt_neox.layers[1].mlp.dense_4h_to_h.weight.add_(1.0)
    assert np.array_equal(before, predict(probe, model, training, device=CPU, max_tokens=4000)[1])
    assert not np.array_equal(last, predict(VProbe(training.table.size, 32, 2, 8, seed=0), model, training, device=CPU, max_tokens=4000)[1])


def test_markers_start_at_the_mean_of_what_texts_contain_and_nothing_else_moves() -> None:
    model = build(SMALL, 40, 128, seed=1)
    table = model.get_input_embeddings().weight
    markers = [5, 6, 7]
    with torch.no_grad():
        table[markers] += 3.0  # as far out as training pushes what it never shows
    used = torch.arange(10, 30).reshape(4, 5)
    probe = VProbe(40, 32, 2, 8, seed=0)
    probe.settle_markers(model, markers, used)
    moved = (table + probe.rows @ probe.directions).detach()
    torch.testing.assert_close(moved[markers].mean(0), table[10:30].mean(0).detach(), rtol=0, atol=1e-5)
    torch.testing.assert_close(moved[5] - moved[6], (table[5] - table[6]).detach(), rtol=0, atol=1e-5)
    others = [row for row in range(40) if row not in markers]
    assert torch.equal(moved[others], table[others])


def test_the_frozen_model_is_left_as_it_was(training: QueryTokens, tmp_path: Path) -> None:
    model = build(SMALL, training.table.size, 128, seed=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train_v_probe(recipe(), model, training, num_classes=2, folder=tmp_path, device=CPU, label="test")
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_saved_probe_predicts_the_same(training: QueryTokens, tmp_path: Path) -> None:
    probe, _ = train(training, tmp_path / "run")
    save_probe(probe, tmp_path / "saved", "known")
    loaded = load_probe(tmp_path / "saved")
    model = freeze(build(SMALL, training.table.size, 128, seed=1))
    one, other = (predict(each, model, training, device=CPU, max_tokens=2000) for each in (probe, loaded))
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])
    np.testing.assert_allclose(predict(probe, model, training, device=CPU, max_tokens=500)[1], one[1], atol=1e-5)
    (tmp_path / "saved" / WEIGHTS).write_bytes(b"broken")
    with pytest.raises(BadCheckpoint, match=r"probe\.safetensors"):
        load_probe(tmp_path / "saved")


def test_every_epoch_sees_every_problem_once() -> None:
    batches = Batches(np.arange(40), 8, seed=0)
    for epoch in range(3):
        seen = np.concatenate([batches.at(epoch * 5 + place) for place in range(5)])
        assert sorted(seen.tolist()) == list(range(40))
    assert not np.array_equal(batches.at(0), batches.at(5))


def test_the_stage_writes_a_probe_that_says_how_it_was_made(tmp_path: Path) -> None:
    inputs = {name: tmp_path / name for name in ("world", "problems", "queries", "model", "unit")}
    for folder in inputs.values():
        folder.mkdir()
    write_world(WorldSettings(source="mini"), {}, Writing(inputs["world"], False))
    save(build(SMALL, build_table(load_world("mini"), FAMILY.modulus, TOKENS).size, 128, seed=4), inputs["model"])
    write_problem_set(ProblemSetSettings(family=FAMILY, num_problems=32, block_size=32, split="train"), inputs, Writing(inputs["problems"], False))
    write_queries(QuerySetSettings(family=FAMILY), inputs, Writing(inputs["queries"], False))
    writing = Writing(inputs["unit"], False)
    settings = recipe(task="value", num_steps=4)
    write_v_probe(settings, inputs, writing)
    described = read_description(writing.folder)
    labels = read_queries(inputs["queries"], "value")["label"].to_pylist()
    assert described["label_counts"] == [labels.count(k) for k in range(FAMILY.modulus + 1)]
    assert VProbeSettings.parse(described["settings"], "test") == settings.model_copy(update={"checkpoint_every": 1000})
    assert load_probe(writing.folder).num_classes == FAMILY.modulus + 1
    losses = pq.read_table(writing.folder / "losses.parquet")
    assert (losses["step"].to_pylist(), writing.counts["training_queries"]) == ([0, 1, 2, 3], len(labels))
