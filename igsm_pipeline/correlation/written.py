"""A model's solutions as documents: the tokens of the prompt, then those that the model wrote; each "." ends a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.tokens import Emitted, TokenTable, emit


@dataclass(frozen=True)
class WrittenDocuments:
    """Problems with a model's solutions. Queries can be asked in them as in the generator's documents (``queries.documents.Documents``).

    Attributes:
        batch: the problems.
        completions: token ids that the model wrote after each problem's prompt, one array per problem; the end of text may be missing.
        table: the token ids of names and words.
        format: order of problem and question in the prompts.
    """

    batch: ProblemBatch
    completions: Sequence[NDArray[np.integer]]
    table: TokenTable
    format: Literal["pq", "qp"]

    def take(self, rows: NDArray[np.integer]) -> Emitted:
        """The documents of some rows, in the given order."""
        gold = emit(self.batch.take(rows), self.table, self.format)
        written = [np.asarray(self.completions[int(row)], dtype=np.uint32) for row in rows]
        ids: list[NDArray[np.uint32]] = []
        ends: list[NDArray[np.int64]] = []
        for index, completion in enumerate(written):
            prompt = gold.prompt(index)[1:]
            ids.append(np.concatenate([prompt, completion]))
            ends.append(len(prompt) + self._dots(completion))
        return Emitted(
            ids=np.concatenate([np.empty(0, np.uint32), *ids]),
            offsets=np.cumsum([0, *map(len, ids)]),
            prompt_ends=gold.prompt_ends,
            problem_ends=gold.problem_ends,
            sentence_ends=np.concatenate([np.empty(0, np.int64), *ends]).astype(np.int32),
            sentence_offsets=np.cumsum([0, *map(len, ends)]),
            eos=gold.eos,
        )

    def _dots(self, completion: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Indices of the "." tokens before the answer."""
        answers = np.flatnonzero(np.isin(completion, (self.table.answer, self.table.eos)))
        solution = completion[: answers[0]] if len(answers) else completion
        return np.flatnonzero(solution == self.table.dot)
