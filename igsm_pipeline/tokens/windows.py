"""Documents -> training windows of one length.

A window begins with [50256] like a prompt, or goes on where the one before stopped:

- ``aligned``: [50256], then whole documents as long as they fit; the rest is padding ([50256] again, not counted in ``lengths``).
- ``best_fit``: the same, but the documents are chosen from the next ``BUFFER``: first the oldest, then those that fill the rest best, two by
  two. In a window they stand in the order in which they came. So 98 of 100 tokens are real in med and hard, of aligned windows 74 and 75 (LOG.md).
- ``single``: [50256], then one document, then padding.
- ``stream``: [50256] and all documents as one row of tokens, cut every ``window`` tokens; only the last window has padding.

Source: every window starts with a problem; problems longer than a window are dropped. Ours: a document that does not fit opens the next window
(aligned), so that no window ends within one; ``best_fit``; ``stream`` drops the same documents, so that all are made of the same data; ``single``,
for small worlds, where the problem before would hold the same names with other values (training cuts the padding off).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline import seeding
from igsm_pipeline.problems.kernel import Bool, Int, Ints, kernel
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.tokens.drills import draw_drills
from igsm_pipeline.tokens.emission import Emitted, emit
from igsm_pipeline.tokens.retries import with_retries
from igsm_pipeline.tokens.settings import Alignment, WindowSettings
from igsm_pipeline.tokens.table import Ids, TokenTable

BUFFER = 1000
"""Documents that a best-fit window is chosen from."""


@dataclass(frozen=True)
class Packed:
    """Windows of some documents.

    Attributes:
        tokens: ids, shape (num_windows, window).
        lengths: real tokens per window, from its start; shape (num_windows,), int32.
        kept: which documents are there; the others are longer than a window. Shape (num_documents,), bool.
    """

    tokens: NDArray[np.uint32]
    lengths: NDArray[np.int32]
    kept: NDArray[np.bool_]

    @property
    def dropped(self) -> int:
        """Documents left out because they are longer than a window."""
        return int((~self.kept).sum())


def windows_of(batch: ProblemBatch, table: TokenTable, family: FamilySettings, settings: WindowSettings, number: int) -> Packed:
    """Training windows of one shard: its problems as documents, with their retries, and behind them windows of drills. ``kept`` is of the problems.

    Args:
        batch: the shard's problems.
        table: the ids.
        family: what the problems are of.
        settings: windows, retries, drills.
        number: of the shard, counted from 0; every shard has drills of its own.
    """
    emitted = with_retries(emit(batch, table, family.format), batch, table, settings.retry)
    packed, share = pack(emitted, settings.window, settings.alignment), settings.drills.share_of(number)
    count = round(len(batch) * share / (1 - share))
    if not count:
        return packed
    draw = seeding.generator(settings.drills.seed, "tokens.drills", number)
    drills = pack(draw_drills(count, table, batch.world, family, draw), settings.window, settings.alignment)
    return Packed(np.concatenate((packed.tokens, drills.tokens)), np.concatenate((packed.lengths, drills.lengths)), packed.kept)


def pack(emitted: Emitted, window: int, alignment: Alignment) -> Packed:
    """Windows of the documents: in their order, or near it for ``best_fit``.

    Args:
        emitted: the documents.
        window: tokens per window; a document of more than ``window - 1`` is dropped.
        alignment: see the module.
    """
    sizes = emitted.lengths
    kept = sizes < window
    if not kept.any():
        return Packed(np.zeros((0, window), np.uint32), np.zeros(0, np.int32), kept)
    if alignment == "best_fit":
        places = _fit_best(sizes, window, BUFFER)
    else:
        places = _find_places(sizes, window, alignment == "aligned", alignment == "single")
    ends = (places + sizes)[kept]
    num_windows = int(-(-ends.max() // window))
    flat = np.full(num_windows * window, emitted.eos, np.uint32)
    _copy_documents(emitted.ids, emitted.offsets, places, flat)
    lengths = np.full(num_windows, window, np.int32)
    if alignment != "stream":
        lengths[:] = 0
        np.maximum.at(lengths, places[kept] // window, ((ends - 1) % window + 1).astype(np.int32))
    else:
        lengths[-1] = ends[-1] - (num_windows - 1) * window
    return Packed(flat.reshape(num_windows, window), lengths, kept)


@kernel
def _find_places(sizes: Ints, window: Int, aligned: Bool, single: Bool) -> Ints:
    """Where each document starts in the row of all windows, -1 where it is dropped; none covers the first token of an aligned or single window."""
    places = np.full(len(sizes), -1, np.int64)
    first, used = 0, 1
    for number in range(len(sizes)):
        size = sizes[number]
        if size >= window:
            continue
        if (aligned and used + size > window) or (single and used > 1):
            first, used = first + window, 1
        places[number] = first + used
        used += size
    return places


@kernel
def _fit_best(sizes: Ints, window: Int, buffer: Int) -> Ints:
    """Where each document starts in the row of all best-fit windows, -1 where it is dropped; none covers the first token of a window.

    Documents of one size that wait are a queue. The oldest of all is the first of its queue, so documents only ever leave from the front.
    """
    number, longest = len(sizes), 0
    for size in sizes:
        if longest < size < window:
            longest = size
    places, behind = np.full(number, -1, np.int64), np.full(number, -1, np.int64)
    front, back = np.full(longest + 1, -1, np.int64), np.full(longest + 1, -1, np.int64)  # by size
    below, chosen = np.zeros(longest + 1, np.int64), np.zeros(window, np.int64)
    coming, waiting, oldest, first = 0, 0, 0, 0
    while True:
        while coming < number and waiting < buffer:
            size = sizes[coming]
            if size < window:
                if front[size] < 0:
                    front[size] = coming
                else:
                    behind[back[size]] = coming
                back[size] = coming
                waiting += 1
            coming += 1
        if waiting == 0:
            return places
        while places[oldest] >= 0 or sizes[oldest] >= window:
            oldest += 1
        size, room, count = sizes[oldest], window - 1, 0
        while size > 0:
            one = front[size]
            front[size] = behind[one]
            places[one] = first  # it is there; its place within is decided below
            chosen[count] = one
            count, waiting, room = count + 1, waiting - 1, room - size
            size = _best_size(front, behind, below, room)
        used = 1
        for one in np.sort(chosen[:count]):
            places[one] = first + used
            used += sizes[one]
        first += window


@kernel
def _best_size(front: Ints, behind: Ints, below: Ints, room: Int) -> Int:
    """The size of the document to take next, 0 if none fits: the longer one of the two that fill the room best, or the one that does so alone.

    Args:
        front: the first waiting document of each size, -1 where there is none.
        behind: the next one of the same size.
        below: scratch memory, as long as ``front``; it gets the largest waiting size that is at most its place.
        room: tokens that are free.
    """
    top, largest = min(room, len(front) - 1), 0
    for size in range(1, top + 1):
        if front[size] >= 0:
            largest = size
        below[size] = largest
    size, best, filled = largest, largest, largest
    while size > 0 and filled < room and 2 * size > filled:
        other = below[min(room - size, top)]
        if other == size and behind[front[size]] < 0:
            other = below[size - 1]
        if size + other > filled:
            best, filled = size, size + other
        size = below[size - 1]
    return best


@kernel
def _copy_documents(ids: Ids, offsets: Ints, places: Ints, flat: Ids) -> None:
    for number in range(len(places)):
        if places[number] >= 0:
            start, end = offsets[number], offsets[number + 1]
            flat[places[number] : places[number] + end - start] = ids[start:end]
