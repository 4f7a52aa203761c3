"""A V-probe trained without ``probes.v_training``: the plain loop that it must agree with, on queries about forty problems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from igsm_pipeline.activations.forward import SequenceBatch
from igsm_pipeline.probes.settings import VProbeSettings
from igsm_pipeline.probes.v_probe import VProbe
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import draw_queries
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.world import load_world

FAMILY = FamilySettings(op_max=3, ip_max=5, modulus=5, op_law="uniform", split_by="problem")
TOKENS = TokenSettings(segmentation="phrase")


def forty_problems() -> QueryTokens:
    """Queries of ``known`` about forty problems."""
    world = load_world("mini")
    batch = generate_block(ProblemSetSettings(family=FAMILY, num_problems=40, block_size=40, seed=2, split="all"), world, 0)
    (queries,) = draw_queries(batch, QuerySettings(family=FAMILY, task="known"))
    table = build_table(world, FAMILY.modulus, TOKENS)
    return QueryTokens(batch, queries, GoldDocuments(batch, table, "pq"), table)


def recipe(**other: Any) -> VProbeSettings:
    """Twelve steps of eight problems, five held out."""
    values = {"family": FAMILY, "tokens": TOKENS, "task": "known", "num_steps": 12, "batch_problems": 8, "held_out": 5, "learning_rate": 0.02}
    return VProbeSettings.parse({**values, **other}, "test")


def train_by_hand(
    settings: VProbeSettings, model: PreTrainedModel, training: QueryTokens, steps: list[NDArray[np.int64]], beside: torch.Tensor
) -> Iterator[torch.Tensor]:
    """Train a probe of two classes on the queries of each step.

    Args:
        settings: seed, rank, optimizer.
        model: the frozen model, 32 wide.
        training: the queries.
        steps: rows of the queries of each step.
        beside: stands beside the logits, (2,).

    Yields:
        Of each step, the probabilities of both answers before it, (num_queries, 2).
    """
    probe = VProbe(training.table.size, 32, 2, settings.rank, settings.seed)
    probe.settle_markers(model, training.table.probe_markers, torch.from_numpy(training.pack(training.rows_of(np.arange(40))).ids))
    optimizer = torch.optim.AdamW(probe.parameters(), lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay)
    for step, rows in enumerate(steps):
        logits = probe(model, SequenceBatch.of(training.pack(rows), torch.device("cpu"))) + beside
        optimizer.param_groups[0]["lr"] = settings.learning_rate * (1 - step / settings.num_steps)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(training.label[rows])).backward()
        optimizer.step()
        yield logits.softmax(-1).detach()
