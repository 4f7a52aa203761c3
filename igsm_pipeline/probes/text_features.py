"""What the words say about a parameter and its direct neighbours, without any reasoning: the features of the text probe.

A feature is local: it looks at the statement of parameter A (and B), at the statements that mention A, at the question, and at which of these names
the solution has defined so far. No feature follows the dependencies further. An abstract parameter has no statement: what it is computed from
stands nowhere in the text, so its features do not say it.

Ours: all of it (the paper's only floor is a model with random weights).
"""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from igsm_pipeline.problems.anatomy import MAX_INSTANCES, NOTHING, NUM_PARAMETERS
from igsm_pipeline.problems.record import Records
from igsm_pipeline.queries.facts import NO_EDGE, NUM_CODES, Asking, Facts, analyse

ABOUT_ONE = ("kind", "sources", "missing", "constant_sources", "uses", "known_uses", "known", "value", "is_asked", "in_question", "uses_question")
"""Features of one parameter. ``value`` is what the solution gives it, -1 while it is not computed; sources are -1 without a statement."""
ABOUT_TWO = ("a_from_b", "b_from_a", "common_sources", "common_uses")
"""Features of a pair."""
ABOUT_ALL = ("position", "parameters", "num_known", "constants")
"""Features of the whole text."""
BLOCK = 4096
"""Problems that are looked at together."""


def text_features(records: Records, queries: pa.Table) -> NDArray[np.float32]:
    """The features of every query, float32, (num_queries, num_features).

    Args:
        records: the problems.
        queries: the columns problem (a row of ``records``), position, parameter and parameter_b, sorted by problem.
    """
    columns = [np.asarray(queries[name].to_numpy()) for name in ("problem", "position", "parameter", "parameter_b")]
    edges = np.searchsorted(columns[0], np.arange(0, len(records) + BLOCK, BLOCK))
    parts = [np.zeros((0, _num_features()), np.float32)]
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        first = number * BLOCK
        problem, position, one, other = (column[start:end] for column in columns)
        if len(problem):
            parts.append(_features(analyse(records[first : first + BLOCK]), problem - first, position, one, other))
    return np.concatenate(parts)


def _num_features() -> int:
    return 2 * len(ABOUT_ONE) + len(ABOUT_TWO) + len(ABOUT_ALL)


def _features(
    facts: Facts, problem: NDArray[np.integer], position: NDArray[np.integer], one: NDArray[np.uint8], other: NDArray[np.uint8]
) -> NDArray[np.float32]:
    stated = _stated(facts)
    uses, constants = _uses(stated), _constants(facts)
    known = facts.known_masks[problem, position]
    asked = facts.order[np.arange(len(facts.order)), facts.num_steps - 1].astype(np.int64)
    blocks = []
    for codes in (one, np.where(other == NOTHING, one, other)):
        asking = Asking(problem, codes, codes, known)
        sources, used = stated[problem, codes], uses[problem, codes]
        silent = codes >= MAX_INSTANCES
        question = asked[problem]
        blocks += [
            np.where(codes >= NO_EDGE, 2, codes >= MAX_INSTANCES),
            np.where(silent, -1, _count(sources).astype(np.int64)),
            np.where(silent, -1, _count(sources & ~known).astype(np.int64)),
            np.where(silent, -1, _count(sources & constants[problem]).astype(np.int64)),
            _count(used),
            _count(used & known),
            asking.is_known(),
            np.where(asking.is_known(), facts.values[problem, codes].astype(np.int64), -1),
            codes == question,
            used >> question & 1,
            sources >> question & 1,
        ]
    first, second = (np.minimum(codes, NUM_PARAMETERS).astype(np.int64) for codes in (one, other))
    blocks += [
        (stated[problem, one] >> second & 1) * (second < NUM_PARAMETERS),
        (stated[problem, np.minimum(other, NUM_CODES - 1)] >> first & 1) * (other != NOTHING) * (first < NUM_PARAMETERS),
        _count(stated[problem, one] & stated[problem, np.minimum(other, NUM_CODES - 1)]) * (other != NOTHING),
        _count(uses[problem, one] & uses[problem, np.minimum(other, NUM_CODES - 1)]) * (other != NOTHING),
        position,
        _count(facts.candidates["existing"][problem]),
        _count(known),
        _count(constants[problem]),
    ]
    return np.stack([np.asarray(block, dtype=np.float32) for block in blocks], axis=1)


def _count(masks: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.bitwise_count(masks)


def _stated(facts: Facts) -> NDArray[np.int64]:
    """Mask of the parameters that the statement of each code mentions, int64, (num_problems, NUM_CODES); 0 without a statement."""
    return np.where(np.arange(NUM_CODES) < MAX_INSTANCES, facts.parents, 0)


def _uses(stated: NDArray[np.int64]) -> NDArray[np.int64]:
    """Mask of the parameters whose statements mention each code, int64, (num_problems, NUM_CODES)."""
    uses = np.zeros_like(stated)
    places = np.arange(NUM_PARAMETERS)
    for user in range(MAX_INSTANCES):
        uses[:, :NUM_PARAMETERS] |= (stated[:, user, None] >> places & 1) << user
    return uses


def _constants(facts: Facts) -> NDArray[np.int64]:
    """Mask of the parameters whose statement mentions no other, int64, (num_problems,)."""
    bare = (facts.parents[:, :MAX_INSTANCES] == 0) << np.arange(MAX_INSTANCES)
    return np.asarray(bare.sum(1) & facts.candidates["existing"], dtype=np.int64)
