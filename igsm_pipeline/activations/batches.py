"""Divides queries into forward passes: by problem, at most so many tokens each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.queries.sequences import QueryTokens

Ints = NDArray[np.int64]


def split_into_passes(tokens: QueryTokens, chosen: Ints, max_tokens: int, *, whole: bool = False) -> Iterator[Ints]:
    """Query rows of some problems (indices into ``tokens.problems``), pass after pass; every query comes exactly once.

    Args:
        tokens: the queries.
        chosen: problems, in any order; passes follow the order of their lengths.
        max_tokens: most tokens of a pass, padding included. A problem with more is divided between passes, at least one query each.
        whole: as for ``QueryTokens.pack``, which must be given the same.
    """
    lengths = tokens.lengths(whole=whole)[chosen]
    order = np.argsort(lengths, kind="stable")
    waiting: list[int] = []
    for one in order.tolist():
        if lengths[one] > max_tokens:
            yield from _divide(tokens, int(chosen[one]), max_tokens, whole)
            continue
        if waiting and (len(waiting) + 1) * lengths[one] > max_tokens:
            yield tokens.rows_of(np.sort(chosen[waiting]))
            waiting = []
        waiting.append(one)
    if waiting:
        yield tokens.rows_of(np.sort(chosen[waiting]))


def _divide(tokens: QueryTokens, problem: int, max_tokens: int, whole: bool) -> Iterator[Ints]:
    """Queries of one long problem, by halves until each part fits."""
    parts = [tokens.rows_of(np.array([problem]))]
    while parts:
        part = parts.pop()
        if len(part) > 1 and tokens.pack(part, whole=whole).ids.size > max_tokens:
            middle = len(part) // 2
            parts += [part[middle:], part[:middle]]
        else:
            yield part
