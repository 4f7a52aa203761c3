"""Measures during training how many problems the model solves.

Source: the loss does not show whether a model solves problems, so every step of its solutions is verified. Ours: a fixed, balanced set of problems,
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
    """Solves a fixed set of problems. Call it with a model; it returns {"accuracy": op -> [correct, n], "slices": slice -> [correct, n]}.

    Attributes:
        verifier: verifies the completions.
        groups: ("accuracy", op) for each in-distribution problem, ("slices", name of the slice) for the others.
        prompts: ids of each prompt: [50256, 222] ... [223].
        max_tokens: most tokens of a completion.
        eos: id that ends a completion.
    """

    verifier: TokenVerifier
    groups: tuple[tuple[str, str], ...]
    prompts: tuple[NDArray[np.uint32], ...]
    max_tokens: int
    eos: int

    def __call__(self, model: PreTrainedModel) -> dict[str, dict[str, list[int]]]:
        """Solve every problem greedily. A solution is correct if all its steps and its answer are. Groups without a problem are left out."""
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
    """Make a monitor of the first ``monitor_problems_per_op`` problems of every op of a problem set, and of each slice."""
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
