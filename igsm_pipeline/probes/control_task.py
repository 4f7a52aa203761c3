"""Answers that say nothing of a model: what a probe makes of them, it makes of itself.

Two kinds. The control task's answer is a fixed random function of what a query says and after how many sentences it is asked, whatever the problem:
a probe that gets it right has learned a list by heart. Permuted answers are the true ones of other queries, so that nothing can be learned at all.

Source: control tasks and selectivity, Hewitt and Liang (arXiv:1909.03368). Ours: the type of a query is its words and its position; answers have
the shares of the true ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline import seeding
from igsm_pipeline.probes.settings import Answers
from igsm_pipeline.queries.sequences import QueryTokens

Ints = NDArray[np.int64]
Types = list[tuple[bytes, bytes, int]]


def query_types(tokens: QueryTokens) -> Types:
    """The type of every query: the tokens of its names A and B, and after how many sentences it is asked. Queries of one type are worded alike."""
    first, second = tokens.names(np.arange(len(tokens)))
    return list(zip(_cut(*first), _cut(*second), tokens.position.tolist(), strict=True))


def _cut(ids: NDArray[np.uint32], offsets: Ints) -> list[bytes]:
    raw, edges = ids.astype("<u4").tobytes(), (4 * offsets).tolist()
    return [raw[edges[row] : edges[row + 1]] for row in range(len(edges) - 1)]


def control_answers(types: Types, shares: NDArray[np.floating], *, task: str, seed: int) -> Ints:
    """The control task's answer to queries of some types, (len(types),): the same whenever and of whichever problem a type is asked.

    Args:
        types: of the queries.
        shares: of the classes, which the answers have on average over types, (num_classes,).
        task: its name; each task has answers of its own.
        seed: of the answers.
    """
    edges = np.cumsum(shares)[:-1] / np.sum(shares)
    drawn = {one: seeding.generator(seed, f"control task {task} {one[0].hex()} {one[1].hex()}", one[2]).random() for one in set(types)}
    return np.searchsorted(edges, [drawn[one] for one in types], side="right").astype(np.int64)


def answers_of(kind: Answers, tokens: QueryTokens, *, task: str, num_classes: int, seed: int) -> QueryTokens:
    """Training queries with the answers that a probe is to learn.

    Args:
        kind: ``true`` gives the queries back.
        tokens: the queries with their true answers.
        task, num_classes: the task's name, and how many answers there are.
        seed: of the answers; each kind has a stream of its own.
    """
    if kind == "true":
        return tokens
    if kind == "permuted":
        return tokens.with_labels(seeding.generator(seed, f"permuted answers {task}").permutation(tokens.label))
    shares = np.bincount(tokens.label, minlength=num_classes) / max(1, len(tokens))
    return tokens.with_labels(control_answers(query_types(tokens), shares, task=task, seed=seed))
