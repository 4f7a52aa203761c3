"""Pairs of prompts that differ in their question only, and the places in them where a plan could be.

Two problem sets of one law and stream are twins if the questions of one are drawn anew (``reask``): row i of both has the same statements and values.
A prompt here goes on until " Define", so the next token begins the name of what the model computes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.errors import BadInput
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.tokens import TokenTable, emit

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Twins:
    """Twins with prompts of one length.

    Attributes:
        rows: rows of the problem sets, (pairs,).
        own: tokens of the receivers' prompts, int64, (pairs, length).
        other: tokens of their twins' prompts, the same shape.
        places: for every name of ``PLACES`` which positions it has, bool, (pairs, length).
    """

    rows: NDArray[np.int64]
    own: Ids
    other: Ids
    places: dict[str, NDArray[np.bool_]]

    def __len__(self) -> int:
        return len(self.rows)

    def split(self, size: int) -> Iterator[Twins]:
        """The same pairs, at most ``size`` at a time."""
        return (self.chosen(slice(first, first + size)) for first in range(0, len(self), size))

    def chosen(self, part: slice | NDArray[np.bool_]) -> Twins:
        """Some of the pairs."""
        return Twins(self.rows[part], self.own[part], self.other[part], {name: where[part] for name, where in self.places.items()})

    def followed_by(self, ids: Ids) -> Twins:
        """The same pairs with more tokens at the end of both prompts, (pairs, more); these belong to ``define``."""
        own, other = (np.concatenate((prompt, ids), axis=1) for prompt in (self.own, self.other))
        more = {name: np.full(ids.shape, name in ("define", "after", "all")) for name in self.places}
        return Twins(self.rows, own, other, {name: np.concatenate((where, more[name]), axis=1) for name, where in self.places.items()})


def pair(own: ProblemBatch, other: ProblemBatch, table: TokenTable, format: Literal["pq", "qp"]) -> list[Twins]:
    """Pair the problems of two batches row by row; pairs of other lengths or of one question are left out.

    Args:
        own: the problems whose reading is changed.
        other: the same problems, with questions of their own.
        table: gives the tokens.
        format: where the question stands.

    Returns:
        One ``Twins`` per length of the prompt, shortest first.

    Raises:
        BadInput: the batches are not of one length.
    """
    if len(own) != len(other):
        raise BadInput("twins", "must be as many problems as they are twins of", f"{len(own)} and {len(other)}", "draw both by one law and stream")
    define = table.fragment_ids(" Define").astype(np.int64)
    prompts = [
        [until_define(one.prompt(index), define) for index in range(len(own))] for one in (emit(own, table, format), emit(other, table, format))
    ]
    groups: dict[int, list[int]] = {}
    for row, (mine, theirs) in enumerate(zip(*prompts, strict=True)):
        if len(mine) == len(theirs) and (mine != theirs).any():
            groups.setdefault(len(mine), []).append(row)
    made = []
    for _, rows in sorted(groups.items()):
        mine, theirs = (np.stack([prompts[side][row] for row in rows]) for side in (0, 1))
        made.append(Twins(np.array(rows), mine, theirs, _places(mine != theirs, len(define))))
    return made


def until_define(prompt: NDArray[Any], define: Ids) -> Ids:
    """A prompt, and the tokens of the solution's first word behind it."""
    return np.concatenate((prompt.astype(np.int64), define))


def _places(differs: NDArray[np.bool_], define: int) -> dict[str, NDArray[np.bool_]]:
    length = differs.shape[1]
    position, marker = np.arange(length), length - define - 1
    first, last = differs.argmax(1)[:, None], length - 1 - differs[:, ::-1].argmax(1)[:, None]
    return {
        "question": (position >= first) & (position <= last),
        "statements": (position > last) & (position < marker),
        "marker": np.broadcast_to(position == marker, differs.shape),
        "define": np.broadcast_to(position > marker, differs.shape),
        "after": position > last,
        "all": position >= first,
    }
