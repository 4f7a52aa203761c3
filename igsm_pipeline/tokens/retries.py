"""Retries among token ids: written into documents, read out of completions, found in training windows.

A retry is " Define", a name, " as", the token that takes back, and "."; see ``problems.law.retries`` for which there are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.errors import BadInput
from igsm_pipeline.problems.kernel import Bool, Bytes, Int, Ints, kernel
from igsm_pipeline.problems.law.retries import Retries, draw_retries
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.problems.settings import RetrySettings
from igsm_pipeline.tokens.emission import Emitted, name_ids
from igsm_pipeline.tokens.table import DOT, ENDS_IN_DOT, NO_NAME, SPACED, Ids, TokenTable


def with_retries(emitted: Emitted, batch: ProblemBatch, table: TokenTable, settings: RetrySettings) -> Emitted:
    """The documents with the retries that the settings draw for them; sentence ends are those of the sentences that define something.

    Args:
        emitted: the documents of the batch.
        batch: its problems.
        table: the ids; it must have the token that takes back, unless the rate is 0.
        settings: which retries are drawn.

    Raises:
        BadInput: the table has no such token, or the documents are of another batch.
    """
    return insert(emitted, batch, table, draw_retries(batch.records, settings)) if settings.rate else emitted


def insert(emitted: Emitted, batch: ProblemBatch, table: TokenTable, retries: Retries) -> Emitted:
    """The documents with given retries; arguments and errors as in ``with_retries``."""
    if len(emitted) != len(batch):
        raise BadInput("emitted", "must be the documents of the batch", f"{len(emitted)} for {len(batch)} problems", "emit this batch first")
    language = table.retry_language
    names, starts = name_ids(batch, table, retries.problem, retries.parameter)
    sizes = np.diff(starts)
    added = len(language.define) + sizes + len(language.rest)
    firsts = emitted.offsets[:-1] + emitted.prompt_ends + 2
    last_ends = emitted.sentence_ends[np.maximum(emitted.sentence_offsets[retries.problem] + retries.sentence - 1, 0)]
    places = np.where(retries.sentence == 0, firsts[retries.problem], emitted.offsets[retries.problem] + last_ends + 1)
    grown = np.bincount(places, weights=added, minlength=len(emitted.ids) + 1).astype(np.int64)
    moved = np.arange(len(emitted.ids) + 1) + np.cumsum(grown)
    ids = np.empty(moved[-1], np.uint32)
    ids[moved[:-1]] = emitted.ids
    begins = places + np.cumsum(added) - added
    within = np.arange(len(names)) - np.repeat(starts[:-1], sizes)
    ids[begins[:, None] + np.arange(len(language.define))] = language.define
    ids[np.repeat(begins + len(language.define), sizes) + within] = names
    ids[(begins + added - len(language.rest))[:, None] + np.arange(len(language.rest))] = language.rest
    owner = np.repeat(np.arange(len(emitted)), np.diff(emitted.sentence_offsets))
    offsets = moved[emitted.offsets]
    ends = moved[emitted.offsets[owner] + emitted.sentence_ends] - offsets[owner]
    return replace(emitted, ids=ids, offsets=offsets, sentence_ends=ends.astype(np.int32))


def without_retries(ids: NDArray[Any], offsets: Ints, table: TokenTable) -> tuple[NDArray[Any], Ints, Ints]:
    """Take the retries out of completions, as ``text.retries`` does out of their text.

    Args:
        ids: token ids of all completions, one after another.
        offsets: completion i is ``ids[offsets[i]:offsets[i + 1]]``. Shape (num_completions + 1,).
        table: the ids; without the token that takes back, nothing is taken out.

    Returns:
        ids and offsets without them, and how many each completion had, (num_completions,).
    """
    num = len(offsets) - 1
    if table.back is None or not (ids == table.back).any():
        return ids, offsets, np.zeros(num, np.int64)
    language = table.retry_language
    keep, counts = np.ones(len(ids), np.bool_), np.zeros(num, np.int64)
    _find(ids, offsets, table.answer, *language, False, keep, counts)
    left = np.zeros(len(ids) + 1, np.int64)
    np.cumsum(keep, out=left[1:])
    return ids[keep], left[offsets], counts


@kernel
def _find(ids: Ids, offsets: Ints, answer: Int, define: Ids, rest: Ids, kind: Bytes, names_only: Bool, keep: NDArray[np.bool_], counts: Ints) -> None:
    """Clear ``keep`` at the tokens of every retry, or of its name, and count retries per completion; nothing is read behind the id ``answer``."""
    back, around = rest[len(rest) - 2], len(rest) - 2
    for i in range(len(counts)):
        begin, end = offsets[i], offsets[i + 1]
        readable = True
        for at in range(offsets[i], end):
            if ids[at] == answer:
                break
            if ids[at] == back:
                first, last = begin + len(define), at - around
                if at + 1 < end and readable and first < last and kind[ids[first]] == SPACED:
                    same = ids[at + 1] == rest[len(rest) - 1]
                    for k in range(len(define)):
                        same &= ids[begin + k] == define[k]
                    for k in range(around):
                        same &= ids[last + k] == rest[k]
                    if same and names_only:
                        keep[first:last] = False
                    elif same:
                        keep[begin : at + 2] = False
                    counts[i] += same
                readable = False
            if kind[ids[at]] == DOT or kind[ids[at]] == ENDS_IN_DOT:
                begin, readable = at + 1, True
            elif kind[ids[at]] == NO_NAME:
                readable = False


def wrong_names(windows: NDArray[Any], table: TokenTable) -> NDArray[np.bool_]:
    """Which tokens of training windows are the name of a parameter that is taken back.

    Args:
        windows: ids, shape (batch, window). A name whose retry begins in an earlier window, or ends in a later one, is not found.
        table: the ids.

    Returns:
        Shape (batch, window).

    Raises:
        BadInput: the table has no token that takes back.
    """
    language = table.retry_language
    kind = language.kind.copy()
    kind[table.solution] = ENDS_IN_DOT  # here a solution begins, and so may a retry
    flat = np.ascontiguousarray(windows, np.uint32).ravel()
    keep, counts = np.ones(len(flat), np.bool_), np.zeros(len(windows), np.int64)
    rows = np.arange(len(windows) + 1, dtype=np.int64) * windows.shape[1]
    _find(flat, rows, np.int64(-1), language.define, language.rest, kind, True, keep, counts)
    return ~keep.reshape(windows.shape)
