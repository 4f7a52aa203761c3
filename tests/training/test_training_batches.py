"""Batch order, labels, parameter groups, schedule and metrics rows."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.training.batches import IGNORED, BatchOrder, labels_of
from igsm_pipeline.training.curves import METRICS, MetricsLog, flat_accuracy_warning, read_metrics
from igsm_pipeline.training.muon import Muon
from igsm_pipeline.training.optimizers import learning_rate, make_optimizers, split_parameters
from igsm_pipeline.training.settings import TrainingSettings
from igsm_pipeline.training.steps import PART_TOKENS, equal_work, micro_batches

SOLUTION, EOS = 90, 99


def test_every_epoch_reads_every_window_once_in_another_order() -> None:
    order = BatchOrder(10, 4, seed=3)
    read = np.concatenate([order.indices(step) for step in range(5)])
    first, second = read[:10].tolist(), read[10:].tolist()
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_a_step_reads_the_same_windows_whatever_was_asked_before() -> None:
    used = BatchOrder(10, 4, seed=3)
    for step in range(9):
        used.indices(step)
    assert np.array_equal(used.indices(1), BatchOrder(10, 4, seed=3).indices(1))
    assert not np.array_equal(used.indices(1), BatchOrder(10, 4, seed=4).indices(1))


def test_a_batch_may_hold_more_than_an_epoch() -> None:
    assert np.bincount(BatchOrder(3, 8, seed=0).indices(0), minlength=3).tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


def test_an_endless_source_is_read_in_its_own_order() -> None:
    assert BatchOrder(None, 4, seed=0).indices(2).tolist() == [8, 9, 10, 11]


def test_all_real_tokens_but_the_first_carry_loss() -> None:
    windows = np.array([[EOS, 1, 2, 3, 0, 0]], np.uint16)
    assert labels_of(windows, np.array([4]), None, None).tolist() == [[1, 2, 3, IGNORED, IGNORED]]


def test_solution_loss_covers_solution_answer_and_end_of_each_document() -> None:
    windows = np.array([[EOS, 1, 2, SOLUTION, 3, 4, EOS, 1, SOLUTION, 5, EOS, 0]], np.uint16)
    i = IGNORED
    assert labels_of(windows, np.array([11]), SOLUTION, EOS).tolist() == [[i, i, i, 3, 4, EOS, i, i, 5, EOS, i]]


def test_micro_batches_hold_every_label_once() -> None:
    rng = np.random.default_rng(0)
    windows, lengths = rng.integers(1, 50, (7, 12)), rng.integers(2, 13, 7)
    labels = labels_of(windows, lengths, None, None)
    cut = list(micro_batches(windows, labels, lengths, 3))
    assert [tuple(ids.shape) for ids, _ in cut] == [tuple(wanted.shape) for _, wanted in cut]
    found = np.sort(np.concatenate([wanted[wanted != IGNORED].numpy() for _, wanted in cut]))
    assert np.array_equal(found, np.sort(labels[labels != IGNORED]))
    assert sum(ids.numel() for ids, _ in cut) < windows.size
    assert [len(ids) for ids, _ in cut] == [3, 3, 1]
    assert [len(ids) for ids, _ in micro_batches(windows, labels, lengths, 5)] == [4, 3]
    halves = [wanted[wanted != IGNORED].numpy() for _, wanted in micro_batches(windows, labels, lengths, 0)]
    assert len(halves) == 2
    assert np.array_equal(np.sort(np.concatenate(halves)), found)
    whole = list(micro_batches(windows, labels, lengths, 4, whole=True))
    assert [ids.shape[1] for ids, _ in whole] == [11, 11], "one shape for compiled code"
    assert np.array_equal(np.sort(np.concatenate([wanted[wanted != IGNORED].numpy() for _, wanted in whole])), found)


@pytest.mark.parametrize("seed", range(20))
def test_parts_of_equal_work_come_in_pairs_and_none_is_much_larger_than_another(seed: int) -> None:
    rng = np.random.default_rng(seed)
    number = int(rng.integers(2, 400))
    lengths = -np.sort(-rng.integers(20, 200, number))
    firsts = equal_work(lengths)
    assert firsts[0] == 0
    assert np.all(np.diff(firsts) > 0)
    work = [int(lengths[first]) * (end - first) for first, end in pairwise([*firsts, number])]
    assert max(work) <= PART_TOKENS
    assert len(work) % 2 == 0 or number < 8
    assert max(work) - min(work[:-1], default=max(work)) <= 2 * lengths[0], "but for the last, what one more window would have added"
    assert len(work) <= 2 + 2 * sum(lengths) // PART_TOKENS


def test_a_window_longer_than_a_part_may_be_is_a_part_of_its_own() -> None:
    assert equal_work(np.array([3 * PART_TOKENS, PART_TOKENS])) == [0, 1]
    assert equal_work(np.array([7])) == [0]
    assert equal_work(np.zeros(0, np.int64)) == []


def test_muon_takes_hidden_matrices_and_adamw_the_rest() -> None:
    model = gpt2_rotary.build(ModelSettings(layers=2, heads=2, head_width=16, partial_rotary_factor=0.5), 31, 32, 0)
    matrices, tables, vectors = split_parameters(model)
    assert list(tables) == ["gpt_neox.embed_in.weight"]
    assert len(matrices) == 2 * 4
    assert all(parameter.ndim == 1 for parameter in vectors.values())
    assert len(matrices) + len(tables) + len(vectors) == len(list(model.parameters()))
    muon, adamw = make_optimizers(model, TrainingSettings(optimizer="muon", weight_decay=0.1))
    assert isinstance(muon, Muon)
    assert {id(p) for group in muon.param_groups for p in group["params"]} == {id(p) for p in matrices.values()}
    assert {group["weight_decay"]: len(group["params"]) for group in adamw.param_groups} == {0.1: 1, 0.0: len(vectors)}


def test_every_cycle_has_the_rates_of_a_training_of_its_length() -> None:
    whole = TrainingSettings(num_steps=120, warmup_steps=5, learning_rate=2.0, cycles=3)
    single = TrainingSettings(num_steps=40, warmup_steps=5, learning_rate=2.0)
    assert [learning_rate(step, whole) for step in range(120)] == 3 * [learning_rate(step, single) for step in range(40)]
    assert "cycles" not in single.canonical()
    assert whole.canonical()["cycles"] == 3
    with pytest.raises(ValueError, match="num_steps must be a multiple of cycles, got 100 and 3"):
        TrainingSettings(num_steps=100, cycles=3)


def test_schedule_warms_up_to_the_peak_and_ends_at_the_floor() -> None:
    settings = TrainingSettings(num_steps=101, warmup_steps=10, learning_rate=2.0, floor=0.01)
    rates = [learning_rate(step, settings) for step in range(101)]
    assert rates[:10] == pytest.approx([0.2 * n for n in range(1, 11)])
    assert rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(2.0 * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi / 2))))
    assert rates[100] == pytest.approx(0.02)


def test_metrics_after_the_resumed_step_and_cut_lines_are_dropped(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0)
    for step in (1, 2, 3):
        log.append({"step": step, "loss": float(step)})
    with (log.folder / METRICS).open("a") as stream:
        stream.write('{"step": 4, "lo')
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2, 3]
    MetricsLog(tmp_path, 2).append({"step": 3, "loss": 0.5})
    assert [(row["step"], row["loss"]) for row in read_metrics(tmp_path)] == [(1, 1.0), (2, 2.0), (3, 0.5)]


def test_the_rate_is_read_with_its_row_and_lies_apart_from_it(tmp_path: Path) -> None:
    rows = [
        {"step": 1, "loss": 3.0, "tokens_per_s": 10.5},
        {"step": 1, "accuracy": {"2": [1, 4]}},
        {"step": 2, "loss": 2.0, "tokens_per_s": 11.5, "padding": 0.25},
    ]
    log = MetricsLog(tmp_path, 0)
    for row in rows:
        log.append(row)
    assert read_metrics(tmp_path) == rows
    assert not {"tokens_per_s", "padding"} & set((tmp_path / METRICS).read_text().split('"'))
    MetricsLog(tmp_path, 1)
    assert read_metrics(tmp_path) == rows[:2]


def test_flat_accuracy_under_a_falling_loss_is_warned_of() -> None:
    def rows(losses: list[float], right: list[int]) -> list[dict[str, object]]:
        made: list[dict[str, object]] = []
        for step, (loss, count) in enumerate(zip(losses, right, strict=True)):
            made += [{"step": step, "loss": loss}, {"step": step, "accuracy": {"1": [count, 50], "2": [count, 50]}}]
        return made

    assert "check" in (flat_accuracy_warning(rows([2.0, 1.5, 1.2, 1.0], [1, 1, 1, 1])) or "")
    assert flat_accuracy_warning(rows([2.0, 1.5, 1.2, 1.0], [1, 5, 9, 20])) is None
    assert flat_accuracy_warning(rows([1.0, 1.0, 1.0, 1.0], [1, 1, 1, 1])) is None
    assert flat_accuracy_warning(rows([2.0, 1.5, 1.2], [1, 1, 1])) is None
