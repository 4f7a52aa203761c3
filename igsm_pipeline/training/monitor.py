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

from igsm_pipeline.generations.complete import complete
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.tokens import TokenTable, emit
from igsm_pipeline.training.settings import CheckpointSettings
from igsm_pipeline.verification import Verdict, verify


@dataclass(frozen=True)
class SolveMonitor:
    """Called with a model: {"accuracy": op -> [fully correct, n], "slices": slice -> [fully correct, n]}.

    Attributes:
        problems: what is solved.
        groups: ("accuracy", op) of each in-distribution problem, ("slices", slice's name) of the others.
        prompts: [50256, 222] ... [223] of each.
        table: decodes completions.
        max_tokens: longest completion.
    """

    problems: tuple[Problem, ...]
    groups: tuple[tuple[str, str], ...]
    prompts: tuple[NDArray[np.uint32], ...]
    table: TokenTable
    max_tokens: int

    def __call__(self, model: PreTrainedModel) -> dict[str, dict[str, list[int]]]:
        """Solve every problem greedily; a solution counts when all its steps and its answer are right. Kinds without a problem are left out."""
        with tqdm(total=len(self.prompts), desc="monitor", unit="problem", leave=False) as bar:
            written = complete(model, self.prompts, max_tokens=self.max_tokens, eos=self.table.eos, progress=bar.update)
        counts: dict[str, dict[str, list[int]]] = {}
        for problem, (kind, name), ids, finished in zip(self.problems, self.groups, written.tokens, written.finished.tolist(), strict=True):
            count = counts.setdefault(kind, {}).setdefault(name, [0, 0])
            count[0] += verdict_on(problem, ids, self.table, finished).correct
            count[1] += 1
        return counts


def verdict_on(problem: Problem, completion: NDArray[np.uint32], table: TokenTable, finished: bool) -> Verdict:
    """The verdict on token ids: the solution is what stands before the first [224], the answer what follows."""
    marks = np.flatnonzero(completion == table.answer)
    end = int(marks[0]) if len(marks) else len(completion)
    answer = table.decode(completion[end:]) if len(marks) else None
    return verify(problem, table.decode(completion[:end]), answer, finished=finished)


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
    return SolveMonitor(
        tuple(chosen), tuple(groups), tuple(emitted.prompt(number) for number in range(len(chosen))), table, settings.training.monitor_max_tokens
    )
