"""How many problems a model solves while it is trained.

Source: the loss cannot tell a broken model from a good one; every step of a solution is verified. Ours: a fixed, balanced set of problems,
solved greedily.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm
from transformers import PreTrainedModel

from igsm_pipeline.generations.complete import complete
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.problems.record import ProblemBatch, to_problem
from igsm_pipeline.tokens import TokenTable, emit
from igsm_pipeline.training.settings import CheckpointSettings
from igsm_pipeline.verification import Verdict, verify


@dataclass(frozen=True)
class SolveMonitor:
    """Called with a model: op -> [fully correct, n].

    Attributes:
        problems: what is solved.
        ops: op of each.
        prompts: [50256, 222] ... [223] of each.
        table: decodes completions.
        max_tokens: longest completion.
    """

    problems: tuple[Problem, ...]
    ops: tuple[int, ...]
    prompts: tuple[NDArray[np.uint32], ...]
    table: TokenTable
    max_tokens: int

    def __call__(self, model: PreTrainedModel) -> dict[str, list[int]]:
        """Solve every problem greedily; a solution counts when all its steps and its answer are right."""
        with tqdm(total=len(self.prompts), desc="monitor", unit="problem", leave=False) as bar:
            written = complete(model, self.prompts, max_tokens=self.max_tokens, eos=self.table.eos, progress=bar.update)
        counts: dict[str, list[int]] = {}
        for problem, op, ids, finished in zip(self.problems, self.ops, written.tokens, written.finished.tolist(), strict=True):
            count = counts.setdefault(str(op), [0, 0])
            count[0] += verdict_on(problem, ids, self.table, finished).correct
            count[1] += 1
        return dict(sorted(counts.items(), key=lambda item: int(item[0])))


def verdict_on(problem: Problem, completion: NDArray[np.uint32], table: TokenTable, finished: bool) -> Verdict:
    """The verdict on token ids: the solution is what stands before the first [224], the answer what follows."""
    marks = np.flatnonzero(completion == table.answer)
    end = int(marks[0]) if len(marks) else len(completion)
    answer = table.decode(completion[end:]) if len(marks) else None
    return verify(problem, table.decode(completion[:end]), answer, finished=finished)


def make_monitor(settings: CheckpointSettings, batch: ProblemBatch, table: TokenTable) -> SolveMonitor:
    """The first ``monitor_problems_per_op`` problems of every op level of a problem set."""
    ops = batch.records["op"].astype(np.int64)
    rows = np.sort(np.concatenate([np.flatnonzero(ops == op)[: settings.training.monitor_problems_per_op] for op in np.unique(ops)]))
    chosen = ProblemBatch(batch.records[rows], batch.world, batch.modulus)
    emitted = emit(chosen, table, settings.family.format)
    return SolveMonitor(
        tuple(to_problem(row, batch.world, batch.modulus) for row in chosen.records),
        tuple(ops[rows].tolist()),
        tuple(emitted.prompt(number) for number in range(len(rows))),
        table,
        settings.training.monitor_max_tokens,
    )
