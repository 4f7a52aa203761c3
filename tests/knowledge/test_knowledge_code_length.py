"""The online code: its bits are those of a coder that works batch by batch, and a code that knows more is shorter."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from igsm_pipeline.activations.forward import SequenceBatch, freeze
from igsm_pipeline.knowledge.code_length import MARKS, Code, code_of_shares, code_rows, online_code, queries_read
from igsm_pipeline.model.gpt2_rotary import build
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.probes.settings import VProbeSettings
from igsm_pipeline.probes.v_probe import VProbe
from igsm_pipeline.probes.v_training import train_v_probe
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import draw_queries
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.world import load_world

FAMILY = FamilySettings(op_max=3, ip_max=5, modulus=5, op_law="uniform", split_by="problem")
TOKENS = TokenSettings(segmentation="phrase")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def training() -> QueryTokens:
    torch.set_num_threads(1)
    world = load_world("mini")
    batch = generate_block(ProblemSetSettings(family=FAMILY, num_problems=40, block_size=40, seed=2, split="all"), world, 0)
    (queries,) = draw_queries(batch, QuerySettings(family=FAMILY, task="known"))
    table = build_table(world, FAMILY.modulus, TOKENS)
    return QueryTokens(batch, queries, GoldDocuments(batch, table, "pq"), table)


def recipe(**other: object) -> VProbeSettings:
    values = {
        "family": FAMILY,
        "tokens": TOKENS,
        "task": "known",
        "num_steps": 12,
        "batch_problems": 8,
        "held_out": 5,
        "learning_rate": 0.02,
        **other,
    }
    return VProbeSettings.parse(values, "test")


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
    probe = VProbe(training.table.size, 32, 2, settings.rank, settings.seed)
    probe.settle_markers(model, training.table.probe_markers, torch.from_numpy(training.pack(training.rows_of(np.arange(40))).ids))
    optimizer = torch.optim.AdamW(probe.parameters(), lr=0.02, betas=settings.betas, weight_decay=settings.weight_decay)
    labels = training.label
    for step, rows in enumerate(read):
        chances = probe(model, SequenceBatch.of(training.pack(rows), CPU)).softmax(-1).detach()
        bits = sum(-math.log2(float(chances[place, labels[row]])) for place, row in enumerate(rows))
        assert code.bits[step] == pytest.approx(bits, rel=1e-4)
        assert code.queries[step] == len(rows)
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / settings.num_steps)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(probe(model, SequenceBatch.of(training.pack(rows), CPU)), torch.from_numpy(labels[rows])).backward()
        optimizer.step()


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
