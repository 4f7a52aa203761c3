"""Which windows a step reads, and which of their tokens have a label. Both depend on the step's number alone.

Ours: each epoch is a seeded permutation of all windows, cut into steps; a step may take windows of two epochs. An endless source (``num_windows``
is None) is read in its own order, each window once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline import seeding

IGNORED = -100


class Windows(Protocol):
    """Training data: windows of token ids by number.

    Attributes:
        num_windows: how many there are; None for an endless source.
        window: tokens per window.
    """

    @property
    def num_windows(self) -> int | None:
        """How many windows there are; None for an endless source."""

    @property
    def window(self) -> int:
        """Tokens per window."""

    def read(self, indices: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Token ids, shape (len(indices), window), and the number of real tokens of each window, shape (len(indices),)."""


@runtime_checkable
class EndlessWindows(Windows, Protocol):
    """Windows without an end. Reading can begin at a far window without making those before it."""

    def position(self, index: int) -> dict[str, int]:
        """The place of window ``index``, as JSON values; the windows before it must have been read."""

    def resume(self, position: Mapping[str, int]) -> None:
        """Begin at a place that an earlier run recorded."""


class BatchOrder:
    """The windows of each step, for one data set, batch size and seed."""

    def __init__(self, num_windows: int | None, batch_windows: int, seed: int) -> None:
        self.num_windows, self.batch_windows, self.seed = num_windows, batch_windows, seed
        self._epochs: dict[int, NDArray[np.int64]] = {}

    def _epoch(self, epoch: int, num_windows: int) -> NDArray[np.int64]:
        if epoch not in self._epochs:
            self._epochs = {key: order for key, order in self._epochs.items() if key == epoch - 1}
            self._epochs[epoch] = seeding.generator(self.seed, "training.order", epoch).permutation(num_windows)
        return self._epochs[epoch]

    def indices(self, step: int) -> NDArray[np.int64]:
        """The numbers of the windows of a step, counted from 0; shape (batch_windows,)."""
        first = step * self.batch_windows
        places = np.arange(first, first + self.batch_windows, dtype=np.int64)
        if self.num_windows is None:
            return places
        epochs, offsets = np.divmod(places, self.num_windows)
        return np.array([self._epoch(int(epoch), self.num_windows)[offset] for epoch, offset in zip(epochs, offsets, strict=True)], dtype=np.int64)


def labels_of(
    windows: NDArray[Any], lengths: NDArray[Any], solution: int | None, eos: int | None, unlearned: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """The token that each position must predict; IGNORED if it has no label.

    Args:
        windows: ids, shape (batch, window).
        lengths: real tokens per window, shape (batch,).
        solution: id of the solution marker, if only tokens after it (up to and including ``eos``) have labels; None: all real tokens have.
        eos: id that ends a document; needed with ``solution``.
        unlearned: tokens that are not to be predicted, shape (batch, window); None: there are none.

    Returns:
        Shape (batch, window - 1): labels of positions 0 .. window - 2. If a solution's marker is in an earlier window, its tokens have no label.
    """
    labels = windows[:, 1:].astype(np.int64)
    places = np.arange(windows.shape[1], dtype=np.int64)
    carries = places[None, 1:] < lengths.astype(np.int64)[:, None]
    if solution is not None:
        latest_marker = np.maximum.accumulate(np.where(windows == solution, places, -1), axis=1)[:, :-1]
        latest_end = np.maximum.accumulate(np.where(windows == eos, places, -1), axis=1)[:, :-1]
        carries &= latest_marker > latest_end
    if unlearned is not None:
        carries &= ~unlearned[:, 1:]
    return np.where(carries, labels, IGNORED)
