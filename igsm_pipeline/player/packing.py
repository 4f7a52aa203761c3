"""Queries about one text, laid into rows that share its tokens.

The layout is that of ``queries.sequences``, which takes problems as records. Here the text is given as token ids, so that it may be anything: a
problem that somebody typed, or what a model wrote about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.queries.sequences import PADDING, SHARED, Sequences

Ids = NDArray[np.int64]
MIN_BRANCHES = 192
"""Tokens of queries that a row has room for at least; a longer text has room for as many as it has tokens."""


class Question(NamedTuple):
    """A query: where it is read, and the names that it asks about.

    Attributes:
        column: last token of the text that it sees, [50256] being column 0.
        first: token ids of A's name.
        second: of B's; None where the query is about one parameter.
    """

    column: int
    first: Ids
    second: Ids | None = None

    def branch(self, markers: tuple[int, int, int]) -> Ids:
        """[START] A [END], or [START] A [MID] B [END]."""
        start, middle, end = markers
        asked = [[start], self.first] if self.second is None else [[start], self.first, [middle], self.second]
        return np.concatenate([*asked, [end]]).astype(np.int64)


def pack(text: Ids, questions: Sequence[Question], markers: tuple[int, int, int], max_tokens: int) -> Iterator[Sequences]:
    """All questions about a text, in their order, pass after pass.

    Args:
        text: token ids, [50256] first.
        questions: with rising columns the shared part of early rows is short.
        markers: ids of [START], [MID] and [END].
        max_tokens: padded tokens per pass; a single row may have more.
    """
    rows: list[list[tuple[Question, Ids]]] = []
    used = room = 0
    for question in questions:
        branch = question.branch(markers)
        if not rows or used + len(branch) > room:
            rows.append([])
            used, room = 0, max(MIN_BRANCHES, question.column + 1)
        rows[-1].append((question, branch))
        used += len(branch)
    waiting: list[list[tuple[Question, Ids]]] = []
    longest = 0
    for row in rows:
        length = _length(row)
        if waiting and max(longest, length) * (len(waiting) + 1) > max_tokens:
            yield _lay(text, waiting)
            waiting, longest = [], 0
        waiting.append(row)
        longest = max(longest, length)
    if waiting:
        yield _lay(text, waiting)


def _shared(row: list[tuple[Question, Ids]]) -> int:
    return 1 + max(question.column for question, _ in row)


def _length(row: list[tuple[Question, Ids]]) -> int:
    return _shared(row) + sum(len(branch) for _, branch in row)


def _lay(text: Ids, rows: list[list[tuple[Question, Ids]]]) -> Sequences:
    shape = (len(rows), max(map(_length, rows)))
    ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    branch, limit = np.full(shape, PADDING, np.int32), np.full(shape, -1, np.int32)
    places: list[tuple[int, int, int]] = []
    for number, row in enumerate(rows):
        end = _shared(row)
        columns = np.arange(end)
        ids[number, :end], positions[number, :end], limit[number, :end], branch[number, :end] = text[:end], columns, columns, SHARED
        for count, (question, asked) in enumerate(row):
            here = slice(end, end + len(asked))
            ids[number, here], limit[number, here], branch[number, here] = asked, question.column, count
            positions[number, here] = question.column + 1 + np.arange(len(asked))
            end += len(asked)
            places.append((number, end - 1, question.column))
    found = np.array(places, np.int64)
    return Sequences(ids, positions, branch, limit, found[:, 0].copy(), found[:, 1].copy(), found[:, 2].copy())
