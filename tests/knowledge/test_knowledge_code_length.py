"""The online code: its bits are those of a coder that works batch by batch, and a code that knows more is shorter."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from reference.trained_by_hand import forty_problems, recipe, train_by_hand

from igsm_pipeline.activations.forward import freeze
from igsm_pipeline.knowledge.code_length import MARKS, Code, code_of_shares, code_rows, online_code, queries_read
from igsm_pipeline.model.gpt2_rotary import build
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.probes.v_training import train_v_probe
from igsm_pipeline.queries.sequences import QueryTokens

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def training() -> QueryTokens:
    torch.set_num_threads(1)
    return forty_problems()


def test_the_code_is_that_of_a_coder_who_sends_a_batch_and_then_learns_from_it(training: QueryTokens, tmp_path: Path) -> None:
    settings = recipe()
    model = freeze(build(ModelSettings(layers=2, heads=2, head_width=16), training.table.size, 128, seed=1))
    losses = train_v_probe(settings, model, training, num_classes=2, folder=tmp_path, device=CPU, label="test").losses
    read = queries_read(settings, training)
    assert len(read) == 35 // 8
    sent = np.concatenate(read)
    assert len(set(sent.tolist())) == len(sent)
    assert not set(training.problem[sent].tolist()) & set(training.problems[-5:].tolist()), "what is held out is not sent"
    code = online_code(read, losses, 2)
    for step, chances in enumerate(train_by_hand(settings, model, training, read, torch.zeros(2))):
        rows = read[step]
        bits = sum(-math.log2(float(chances[place, training.label[row]])) for place, row in enumerate(rows))
        assert code.bits[step] == pytest.approx(bits, rel=1e-4)
        assert code.queries[step] == len(rows)


def test_a_choice_among_starts_is_sent_too_and_a_short_training_is_a_code_of_what_it_read(training: QueryTokens) -> None:
    read = queries_read(recipe(num_steps=2), training)
    assert len(read) == 2
    losses = np.array([0.5, 0.25, 9.0, 9.0])
    one, four = (online_code(read, losses, 2, starts=starts) for starts in (1, 4))
    assert one.bits.tolist() == pytest.approx([0.5 * len(read[0]) / math.log(2), 0.25 * len(read[1]) / math.log(2)])
    assert (four.bits - one.bits).tolist() == pytest.approx([2.0, 0.0])


def test_shares_alone_are_coded_as_one_by_one(training: QueryTokens) -> None:
    read = [np.array([3, 0]), np.array([1, 2, 4])]
    label = np.array([0, 2, 2, 1, 2])
    counts, wanted = [0.5, 0.5, 0.5], []
    for rows in read:
        bits = 0.0
        for row in rows:
            bits -= math.log2(counts[label[row]] / sum(counts))
            counts[label[row]] += 1
        wanted.append(bits)
    assert code_of_shares(read, label, 3).bits.tolist() == pytest.approx(wanted)


def test_rows_say_how_much_shorter_a_code_is_and_by_how_many_bits_the_best_is_ahead() -> None:
    print("seed 5")
    queries = np.full(1000, 80)
    noise = np.random.default_rng(5).normal(0, 4, 1000)
    best, weak = Code(40 + noise, queries, 2), Code(60 + noise, queries, 2)
    rows = code_rows(weak, best, seed=0, num_resamples=200)
    assert [row["share"] for row in rows] == list(MARKS)
    end = rows[-1]
    assert (end["n"], end["uniform"], end["bits"]) == (80_000, 80_000, pytest.approx(60_000, rel=0.01))
    assert end["compression"] == pytest.approx(80 / 60, rel=0.01)
    assert end["compression_low"] < end["compression"] < end["compression_high"]
    assert (end["longer"], end["longer_low"], end["longer_high"]) == pytest.approx((0.25, 0.25, 0.25)), "batches are compared with themselves"
    few = Code(np.ones(6), np.ones(6, int), 2)
    assert [row["share"] for row in code_rows(few, few, seed=0, num_resamples=100)] == [0.125, 0.25, 0.5, 1.0]
