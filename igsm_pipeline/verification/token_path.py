"""Verifies completions as token ids. It is the fast path of training and evaluation, and equals the text path in every field.

A compiled reader (``token_kernel``) judges the rows that are written as the tokenizer writes them, right or wrong. What it cannot read completely
(text that leaves the grammar, an odd segmentation, the name of an unknown item, a lenient world) is verified as text, row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.errors import BadProblem
from igsm_pipeline.problems import Problem, ProblemBatch
from igsm_pipeline.text import parse_problem, render_problem, render_question
from igsm_pipeline.tokens import TokenTable
from igsm_pipeline.tokens import fragments as F  # noqa: N812 (a namespace of fragment numbers)
from igsm_pipeline.tokens.retries import without_retries
from igsm_pipeline.tokens.table import Ids
from igsm_pipeline.verification import token_names as N  # noqa: N812 (a namespace of codes)
from igsm_pipeline.verification.token_kernel import Found, judge
from igsm_pipeline.verification.verdict import Error, Verdict
from igsm_pipeline.verification.verifier import verify
from igsm_pipeline.world import World

_ERRORS = tuple(Error)
_SYMBOLS = 52
_PROBLEMS_KEPT = 4096
_SINGLE = {F.IS: N.IS, F.PLUS: N.PLUS, F.MINUS: N.MINUS, F.TIMES: N.TIMES, F.DOT: N.DOT, F.STEP: N.STEP, F.AS: N.AS, F.ANSWER: N.ANSWER}


@dataclass(frozen=True)
class TokenVerdicts:
    """Verdicts on many completions; the fields of ``Verdict`` as arrays, one entry per completion.

    Attributes:
        error: index in ``tuple(Error)`` of the first error, -1 if there is none. int8.
        sentence: sentence of the first error, -1 if there is none. int32.
        parameter: name of the parameter of that sentence; None if ``Verdict`` has none.
        final_answer_correct: bool.
        unnecessary_parameters: int32.
        unnecessary_operations: int32.
        through_text: whether the row was verified as text. bool.
        retries: int64.
    """

    error: NDArray[np.int8]
    sentence: NDArray[np.int32]
    parameter: list[str | None]
    final_answer_correct: NDArray[np.bool_]
    unnecessary_parameters: NDArray[np.int32]
    unnecessary_operations: NDArray[np.int32]
    through_text: NDArray[np.bool_]
    retries: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.error)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each completion has no error."""
        return self.error < 0

    def __getitem__(self, index: int) -> Verdict:
        number = int(self.error[index])
        return Verdict(
            correct=number < 0,
            error=None if number < 0 else _ERRORS[number],
            sentence=None if number < 0 else int(self.sentence[index]),
            parameter=self.parameter[index],
            final_answer_correct=bool(self.final_answer_correct[index]),
            unnecessary_parameters=int(self.unnecessary_parameters[index]),
            unnecessary_operations=int(self.unnecessary_operations[index]),
            retries=int(self.retries[index]),
        )


@dataclass(frozen=True)
class TokenVerifier:
    """Verifies completions of the problems of one batch.

    Attributes:
        batch: the problems.
        table: token table of the batch's world and modulus, which the completions were made with. None sends every completion through its text.
    """

    batch: ProblemBatch
    table: TokenTable | None
    problem: Callable[[int], tuple[Problem, bool]] = field(init=False, repr=False, compare=False)
    """A row's problem as its text tells it, and whether that text has two readings; see ``problem_from_text``."""
    _language: N.Language | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        batch = self.batch
        object.__setattr__(self, "problem", lru_cache(_PROBLEMS_KEPT)(lambda row: problem_from_text(batch[row], batch.world)))
        object.__setattr__(self, "_language", None if batch.world.lenient or self.table is None else language_of(self.table))

    def judge(
        self,
        ids: Ids,
        offsets: NDArray[np.int64],
        finished: NDArray[np.bool_],
        rows: NDArray[np.int64] | None = None,
        text: Callable[[int], tuple[str, str | None]] | None = None,
    ) -> TokenVerdicts:
        """Verify completions: solution, then [224] and the answer, then the end of the text.

        As in the verdicts stage, a completion without an answer counts as truncated, whether or not the model ended it.

        Args:
            ids: token ids of all completions, one after another, including the end of the text if it was written.
            offsets: completion i is ``ids[offsets[i]:offsets[i + 1]]``. Shape (num_completions + 1,).
            finished: whether the end of the text was written. Shape (num_completions,).
            rows: problem of each completion, an index into the batch; None if completion i is of problem i.
            text: solution and answer of completion i as text, if they are known; otherwise they are decoded.

        Raises:
            ValueError: there is neither a table nor a text.
        """
        num = len(offsets) - 1
        places = np.arange(num) if rows is None else np.ascontiguousarray(rows, np.int64)
        found = Found(
            np.full(num, N.UNREAD, np.int8),
            np.full(num, -1, np.int32),
            np.full((num, 2), -1, np.int64),
            np.zeros(num, np.bool_),
            np.zeros(num, np.int32),
            np.zeros(num, np.int32),
        )
        if text is None:
            if self.table is None:
                raise ValueError("completions without a table must come with their texts: give one of them")
            decode, all_ids, all_offsets = self.table.decode_completion, ids, offsets
            text = lambda index: decode(all_ids[all_offsets[index] : all_offsets[index + 1]])  # noqa: E731
        retries = np.zeros(num, np.int64)
        if self._language is not None and self.table is not None:
            ids, offsets, retries = without_retries(self._known(ids), offsets, self.table)
            judge(self.batch.records, places, _new_work(self.batch.modulus), self._language, ids, offsets, finished, found)
        through_text = found.error == N.UNREAD
        verdicts = TokenVerdicts(found.error, found.sentence, [None] * num, *found[3:], through_text, retries)
        for index in np.flatnonzero(through_text).tolist():
            self._judge_text(verdicts, index, int(places[index]), *text(index), bool(finished[index]))
        verdicts.sentence[verdicts.correct] = -1
        for index in np.flatnonzero(~verdicts.correct & ~through_text & (found.name[:, 0] >= 0)).tolist():
            start, end = found.name[index].tolist()
            verdicts.parameter[index] = self.table.decode(ids[start:end])[1:] if self.table is not None else None
        return verdicts

    def _known(self, ids: Ids) -> Ids:
        """The ids; an id that the table lacks is replaced by one that sends its row through text."""
        assert self.table is not None
        return ids if not len(ids) or int(ids.max()) < self.table.size else np.where(ids < self.table.size, ids, np.uint32(self.table.bos))

    def _judge_text(self, verdicts: TokenVerdicts, index: int, row: int, solution: str, answer: str | None, finished: bool) -> None:
        verdict = verify(self.problem(row)[0], solution, answer, finished=finished and answer is not None)
        verdicts.error[index] = -1 if verdict.error is None else _ERRORS.index(verdict.error)
        verdicts.sentence[index] = -1 if verdict.sentence is None else verdict.sentence
        verdicts.parameter[index] = verdict.parameter
        verdicts.final_answer_correct[index] = verdict.final_answer_correct
        verdicts.unnecessary_parameters[index] = verdict.unnecessary_parameters
        verdicts.unnecessary_operations[index] = verdict.unnecessary_operations
        verdicts.retries[index] = verdict.retries


def joined(completions: Sequence[NDArray[np.integer]]) -> tuple[Ids, NDArray[np.int64]]:
    """Join one array per completion into ``ids`` and ``offsets`` as ``TokenVerifier.judge`` takes them."""
    offsets = np.zeros(len(completions) + 1, np.int64)
    np.cumsum([len(ids) for ids in completions], out=offsets[1:])
    return np.concatenate([np.zeros(0, np.uint32), *completions]).astype(np.uint32), offsets


def problem_from_text(problem: Problem, world: World) -> tuple[Problem, bool]:
    """The problem that its text tells, and False. If a lenient world's text has two readings: the problem itself, and True."""
    try:
        return parse_problem(render_problem(problem) + render_question(problem), world, problem.modulus), False
    except BadProblem:
        if not world.lenient:
            raise
        return problem, True


def language_of(table: TokenTable) -> N.Language | None:
    """A table's tokens in the form that the kernel reads; None if it cannot read them.

    The kernel needs operands, operators and " as" to be one token, " Define" and "; so" one or two, and an id's text to be the same everywhere.
    Foreign tokenizers do not promise that.
    """
    layout, starts = table.fragments.layout, table.starts
    define, so = (table.pieces[starts[one] : starts[one + 1]] for one in (F.DEFINE, F.SO))
    operands = range(int(layout[0]), int(layout[1]) + _SYMBOLS)
    if any(starts[one + 1] - starts[one] != 1 for one in (*_SINGLE, *operands)) or len(define) > 2 or len(so) > 2 or table.modulus > N.MOST_NUMBERS:
        return None
    if table.settings.segmentation == "checkpoint":
        return None
    code = np.full(table.size, N.OTHER, np.int16)
    for fragment, number in _SINGLE.items():
        code[table.pieces[starts[fragment]]] = number
    code[so[-1]] = N.STEP_SO if len(so) == 1 else N.SO_WORD
    code[define[0]] = N.DEFINE
    code[table.pieces[starts[layout[1] : layout[1] + _SYMBOLS]]] = np.arange(_SYMBOLS)
    code[table.pieces[starts[layout[0] : layout[0] + table.modulus]]] = N.NUMBER_CODE + np.arange(table.modulus)
    semicolons = np.array([min(token.count(b";"), 100) for token in table.vocabulary.tokens], np.int8)
    semicolons[list(table.special)] = -1
    rest = int(define[1]) if len(define) == 2 else -1
    return N.Language(code, semicolons, table.pieces, starts, layout, table.fragments.item_starts, rest, table.eos)


def _new_work(modulus: int) -> NDArray[np.void]:
    work = np.zeros(1, N.WORK)
    work["values"][0, N.NUMBER_CODE : N.NUMBER_CODE + modulus] = np.arange(modulus)
    work["modulus"] = modulus
    return work
