"""V-probes of a GPU read all problems of a step from one row of one of three shapes, and learn and say what they do on a processor."""

from __future__ import annotations

import itertools
import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reference.compiling import NOT_RUN, Graphs, Waits, raises
from torch.nn.attention.flex_attention import create_block_mask, create_mask

from igsm_pipeline.activations import fixed_rows
from igsm_pipeline.activations.fixed_rows import FixedRows, Row, Shape, choose_shapes, dense_mask, pays, seen_in_row
from igsm_pipeline.activations.forward import SequenceBatch, attention_mask, embed, end_states, freeze
from igsm_pipeline.model.device import sent
from igsm_pipeline.model.gpt2_rotary import build
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.probes import v_probe, v_training
from igsm_pipeline.probes.settings import VProbeSettings
from igsm_pipeline.probes.v_probe import predict
from igsm_pipeline.probes.v_training import Trained, batches_of, shapes_of, train_v_probe
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import draw_queries
from igsm_pipeline.queries.sequences import PADDING, QueryTokens
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.world import load_world

CPU, GPU = torch.device("cpu"), torch.device("cuda")
FAMILY = FamilySettings(op_max=3, ip_max=5, modulus=5, op_law="uniform", split_by="problem")
TOKENS = TokenSettings(segmentation="phrase")
STEPS = 40


def drawn(family: FamilySettings) -> QueryTokens:
    torch.set_num_threads(1)
    world = load_world("mini")
    batch = generate_block(ProblemSetSettings(family=family, num_problems=64, block_size=64, seed=2, split="all"), world, 0)
    (queries,) = draw_queries(batch, QuerySettings(family=family, task="known", per_problem=4))
    table = build_table(world, family.modulus, TOKENS)
    return QueryTokens(batch, queries, GoldDocuments(batch, table, "pq"), table)


@pytest.fixture(scope="module")
def tokens() -> QueryTokens:
    return drawn(FAMILY)


@pytest.fixture(scope="module")
def uneven() -> QueryTokens:
    """Queries of problems whose lengths differ more."""
    return drawn(FAMILY.model_copy(update={"op_max": 6, "ip_max": 8}))


@pytest.fixture(scope="module")
def model(tokens: QueryTokens) -> Any:
    return freeze(build(ModelSettings(layers=2, heads=2, head_width=16), tokens.table.size, 128, seed=1))


def settings(**other: object) -> VProbeSettings:
    values = {"family": FAMILY, "tokens": TOKENS, "task": "known", "num_steps": STEPS, "batch_problems": 4, "learning_rate": 0.02, **other}
    return VProbeSettings.parse(values, "test")


def train(tokens: QueryTokens, model: Any, folder: Path, **other: object) -> Trained:
    return train_v_probe(settings(**other), model, tokens, num_classes=2, folder=folder, device=CPU, label="test")


def as_on_a_gpu(patch: pytest.MonkeyPatch, backend: Any) -> list[tuple[int, ...]]:
    """Let probes use fixed rows on a processor, with a dense mask; returns a list that gets the shape of every row."""
    shapes, plain = [], Row.of

    def noted(*arguments: Any) -> Row:
        row = plain(*arguments)
        shapes.append((row.ids.shape[1], len(row.ends)))
        return row

    patch.setattr(v_probe, "pays", lambda *_: True)
    patch.setattr(v_probe, "FixedRows", partial(FixedRows, backend=backend, flex=False))
    patch.setattr(Row, "of", noted)
    return shapes


def test_a_token_of_a_row_sees_what_it_sees_in_a_row_of_its_own_and_padding_sees_itself(tokens: QueryTokens) -> None:
    packed = tokens.pack(tokens.rows_of(np.arange(5, 8)))
    row = Row.of(packed, (Shape(128, 128), Shape(512, 128)), CPU)
    real = torch.from_numpy(packed.branch != PADDING)
    own = attention_mask(torch.from_numpy(packed.branch), torch.from_numpy(packed.limit))[:, 0]
    wanted = torch.eye(512, dtype=torch.bool)
    start = 0
    for number in range(3):
        size = int(real[number].sum())
        wanted[start : start + size, start : start + size] = own[number, :size, :size]
        start += size
    assert start < 512 - 128, "there is padding"
    seen = seen_in_row(row.problem, row.branch, row.limit)
    assert torch.equal(dense_mask(seen, 512, 512, CPU), wanted)
    assert torch.equal(create_mask(seen, None, None, 512, 512, device="cpu")[0, 0], wanted)
    blocks = create_block_mask(seen, None, None, 512, 512, device="cpu", BLOCK_SIZE=128).to_dense()[0, 0]
    assert torch.equal(blocks.bool(), wanted.view(4, 128, 4, 128).any(3).any(1))
    at_ends = seen_in_row(row.problem, row.branch, row.limit, row.ends)
    assert torch.equal(create_mask(at_ends, None, None, 128, 512, device="cpu")[0, 0], wanted[row.ends])
    assert torch.equal(row.ids[0][row.ends[: row.number]], torch.from_numpy(packed.ids[packed.rows, packed.ends]))


@pytest.mark.parametrize("layer", [None, 1])
def test_flex_attention_reads_from_a_row_what_a_dense_mask_and_what_rows_of_their_own_give(
    tokens: QueryTokens, model: Any, layer: int | None
) -> None:
    packed = tokens.pack(tokens.rows_of(np.arange(2)))
    batch = SequenceBatch.of(packed, CPU)
    with torch.no_grad():
        wanted = end_states(model, batch, embed(model, batch.ids), layer)
        for flex in (False, True):
            rows = FixedRows(model, (Shape(256, 128),), layer, CPU, backend=None, flex=flex)
            row = rows.row(packed)
            torch.testing.assert_close(rows.states(row, embed(model, row.ids))[: row.number], wanted, rtol=0, atol=1e-5)


def test_forty_steps_compile_at_most_three_graphs_and_learn_what_a_processor_learns(
    uneven: QueryTokens, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, _ = batches_of(settings(), uneven)
    asked = [uneven.rows_of(batches.at(step)) for step in range(STEPS)]
    assert len({-(-uneven.size(rows) // 128) for rows in asked}) > 3, "rows of so many blocks as they need have more shapes"
    padded = {uneven.pack(rows).ids.shape for rows in asked}
    assert len(padded) > 10, "rows as a processor has them differ in shape"
    plain = train(uneven, model, tmp_path / "plain", starts=2, start_steps=4)
    answers = predict(plain.probe, model, uneven, device=CPU, max_tokens=1024)
    graphs = Graphs()
    shapes = as_on_a_gpu(monkeypatch, graphs)
    fixed = train(uneven, model, tmp_path / "fixed", starts=2, start_steps=4)
    assert 1 < len(set(shapes)) <= 3
    assert len(shapes) == STEPS + 4, "every step of both starts was a row"
    assert len(graphs.found) == len(set(shapes))
    np.testing.assert_allclose(fixed.losses, plain.losses, rtol=0, atol=1e-4)
    for one, other in zip(fixed.probe.parameters(), plain.probe.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-3)
    shapes.clear()
    said, scores = predict(plain.probe, model, uneven, device=CPU, max_tokens=1024)
    assert len(set(shapes)) <= 3 < len(shapes)
    np.testing.assert_allclose(scores, answers[1], rtol=0, atol=1e-5)
    assert np.array_equal(said[np.abs(scores - 0.5) > 1e-4], answers[0][np.abs(scores - 0.5) > 1e-4])


def test_no_step_waits_for_the_gpu(tokens: QueryTokens, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for fixed in (False, True):
        with monkeypatch.context() as patch:
            if fixed:
                as_on_a_gpu(patch, None)
            training = v_training._Training(settings(), model, tokens, 2, CPU)
            course = training.begin(0)
            rows = tokens.rows_of(np.arange(4))
            with Waits() as waits:  # the optimizer counts its steps on the processor, wherever the probe is
                course.losses[0] = training._gradients(course, rows)
            found[fixed] = waits.found
    assert found[True] == []
    assert found[False], "rows of their own count the ends of each row, and are seen to"


def test_labels_are_on_their_way_before_the_forward_pass(tokens: QueryTokens, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    training = v_training._Training(settings(), model, tokens, 2, CPU)
    monkeypatch.setattr(v_training, "sent", lambda values, device: order.append("labels") or sent(values, device))
    logits = training.asking.logits
    monkeypatch.setattr(training.asking, "logits", lambda *row: order.append("forward pass") or logits(*row))
    training._gradients(training.begin(0), tokens.rows_of(np.arange(4)))
    assert order == ["labels", "forward pass"]


def test_shapes_leave_the_least_padding_that_three_can_leave() -> None:
    for seed in range(5):
        random = np.random.default_rng(seed)
        lengths, queries = random.integers(100, 1600, 60), random.integers(1, 400, 60)
        shapes = choose_shapes(lengths, queries)
        taken = [next(one for one in shapes if one.length >= length and one.slots >= number) for length, number in zip(lengths, queries, strict=True)]
        rounded = np.unique(-(-lengths // 128) * 128)
        pairs = itertools.combinations_with_replacement(rounded, 2)
        least = min(sum(min(cap for cap in (*pair, rounded[-1]) if cap >= length) for length in lengths) for pair in pairs)
        print("seed", seed, shapes, least)
        assert len(shapes) <= 3
        assert sum(one.length for one in taken) >= least == sum(min(one.length for one in shapes if one.length >= length) for length in lengths)
    assert choose_shapes(np.array([5]), np.array([1])) == (Shape(128, 128),)


def test_the_shapes_of_a_training_take_every_step_and_a_row_too_long_is_refused(tokens: QueryTokens) -> None:
    batches, _ = batches_of(settings(), tokens)
    shapes = shapes_of(batches, np.diff(tokens.starts), STEPS)
    for step in range(STEPS):
        rows = tokens.rows_of(batches.at(step))
        packed = tokens.pack(rows)
        assert tokens.size(rows) == int((packed.branch != PADDING).sum())
        assert (Row.of(packed, shapes, CPU).ids.shape[1], 128) in [(one.length, one.slots) for one in shapes]
    with pytest.raises(ValueError, match="a row must take"):
        Row.of(tokens.pack(tokens.rows_of(np.arange(64))), shapes, CPU)


@pytest.mark.parametrize("error", NOT_RUN)
def test_what_does_not_compile_or_cannot_be_launched_is_probed_without_compiling(
    tokens: QueryTokens, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: type[Exception]
) -> None:
    def broken(graph: torch.fx.GraphModule, _: Any) -> Any:
        return raises(error)

    plain = train(tokens, model, tmp_path / "plain", num_steps=3)
    as_on_a_gpu(monkeypatch, broken)
    with caplog.at_level(logging.WARNING):
        found = train(tokens, model, tmp_path / "broken", num_steps=3)
    assert caplog.text.count("not on this card") == 1
    assert np.array_equal(found.losses, plain.losses)


def test_rows_are_fixed_on_gpus_that_compile_where_many_passes_come(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    many = fixed_rows.PAYS_FROM
    monkeypatch.setattr(fixed_rows, "compiles", lambda wanted, device, what: device.type == "cuda")
    assert pays(model, None, GPU, many)
    assert not pays(model, None, CPU, many), "a processor's bytes stay as they were"
    assert not pays(model, None, GPU, many - 1)
    assert not pays(model, 0, GPU, many), "without layers there is nothing to compile"
    assert not pays(torch.nn.Linear(1, 1), None, GPU, many)  # type: ignore[arg-type]
