"""How many problems a model solves while it is trained.

Source: the loss cannot tell a broken model from a good one; every step of a solution is verified. Ours: a fixed, balanced set of problems,
solved greedily.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm
from transformers import PreTrainedModel

from igsm_pipeline.model.decoding import complete
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.tokens import TokenTable, emit
from igsm_pipeline.training.settings import CheckpointSettings
from igsm_pipeline.verification.token_path import TokenVerifier, joined


@dataclass(frozen=True)
class SolveMonitor:
    """Called with a model: {"accuracy": op -> [fully correct, n], "slices": slice -> [fully correct, n]}.

    Attributes:
        verifier: judges completions of the problems that are solved.
        groups: ("accuracy", op) of each in-distribution problem, ("slices", slice's name) of the others.
        prompts: [50256, 222] ... [223] of each.
        max_tokens: longest completion.
        eos: id that ends a completion.
    """

    verifier: TokenVerifier
    groups: tuple[tuple[str, str], ...]
    prompts: tuple[NDArray[np.uint32], ...]
    max_tokens: int
    eos: int

    def __call__(self, model: PreTrainedModel) -> dict[str, dict[str, list[int]]]:
        """Solve every problem greedily; a solution counts when all its steps and its answer are right. Kinds without a problem are left out."""
        with tqdm(total=len(self.prompts), desc="monitor", unit="problem", leave=False) as bar:
            written = complete(model, self.prompts, max_tokens=self.max_tokens, eos=self.eos, progress=bar.update)
        correct = self.verifier.judge(*joined(written.tokens), written.finished).correct
        counts: dict[str, dict[str, list[int]]] = {}
        for (kind, name), right in zip(self.groups, correct.tolist(), strict=True):
            count = counts.setdefault(kind, {}).setdefault(name, [0, 0])
            count[0] += right
            count[1] += 1
        return counts


def make_monitor(
    settings: CheckpointSettings, batch: ProblemBatch, table: TokenTable, slices: Mapping[str, ProblemBatch] | None = None
) -> SolveMonitor:
    """The first ``monitor_problems_per_op`` problems of every op level of a problem set, and of each slice."""
    most = settings.training.monitor_problems_per_op
    ops = batch.records["op"].astype(np.int64)
    levels = [np.flatnonzero(ops == op)[:most] for op in np.unique(ops)]
    groups = [("accuracy", str(ops[row])) for rows in levels for row in rows]
    parts = [batch.take(np.concatenate(levels))]
    for name, part in (slices or {}).items():
        parts.append(part.take(slice(0, most)))
        groups += [("slices", name)] * len(parts[-1])
    chosen = ProblemBatch(np.concatenate([part.records for part in parts]), batch.world, batch.modulus)
    emitted = emit(chosen, table, settings.family.format)
    prompts = tuple(emitted.prompt(number) for number in range(len(chosen)))
    return SolveMonitor(TokenVerifier(chosen, table), tuple(groups), prompts, settings.training.monitor_max_tokens, table.eos)
