"""Documents -> training windows of one length.

A window begins with [50256] like a prompt, or goes on where the one before stopped:

- ``aligned``: [50256], then whole documents as long as they fit; the rest is padding ([50256] again, not counted in ``lengths``).
- ``single``: [50256], then one document, then padding.
- ``stream``: [50256] and all documents as one row of tokens, cut every ``window`` tokens; only the last window has padding.

Source: every window starts with a problem; problems longer than a window are dropped. Ours: a document that does not fit opens the next window
(aligned), so that no window ends within one; ``stream`` drops the same documents, so that all are made of the same data; ``single``, for small
worlds, where the problem before would hold the same names with other values (training cuts the padding off).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.problems.kernel import Bool, Int, Ints, kernel
from igsm_pipeline.tokens.emission import Emitted
from igsm_pipeline.tokens.settings import Alignment
from igsm_pipeline.tokens.table import Ids


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


def pack(emitted: Emitted, window: int, alignment: Alignment) -> Packed:
    """Windows of the documents, in their order.

    Args:
        emitted: the documents.
        window: tokens per window; a document of more than ``window - 1`` is dropped.
        alignment: see the module.
    """
    sizes = emitted.lengths
    kept = sizes < window
    if not kept.any():
        return Packed(np.zeros((0, window), np.uint32), np.zeros(0, np.int32), kept)
    places = _find_places(sizes, window, alignment == "aligned", alignment == "single")
    ends = (places + sizes)[kept]
    num_windows = int(-(-ends[-1] // window))
    flat = np.full(num_windows * window, emitted.eos, np.uint32)
    _copy_documents(emitted.ids, emitted.offsets, places, flat)
    lengths = np.full(num_windows, window, np.int32)
    if alignment != "stream":
        lengths[places[kept] // window] = (ends - 1) % window + 1  # of several documents in a window, the last one's end stays
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
def _copy_documents(ids: Ids, offsets: Ints, places: Ints, flat: Ids) -> None:
    for number in range(len(places)):
        if places[number] >= 0:
            start, end = offsets[number], offsets[number + 1]
            flat[places[number] : places[number] + end - start] = ids[start:end]


def documents_of(tokens: NDArray[Any], length: int, bos: int) -> list[NDArray[Any]]:
    """The documents of an aligned or single window, each from ``bos`` on. Inverse of packing."""
    real = tokens[:length]
    starts = np.flatnonzero(real == bos)
    return [real[start:end] for start, end in zip(starts, [*starts[1:], length], strict=True)]
