"""The tokens at which a curve has reached half of its final gain. Ours: the definition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def half_gain_tokens(values: Floats, tokens: Floats) -> Floats:
    """The tokens at which each curve first reaches the middle between its first and its last value.

    Between two snapshots the curve is taken to be straight over the logarithm of the tokens; before the second snapshot, over the tokens themselves.

    Args:
        values: curves, (num_curves, num_snapshots).
        tokens: that each snapshot has been trained on, rising from 0, (num_snapshots,).

    Returns:
        Shape (num_curves,); nan where the last value is not above the first.
    """
    half = (values[:, :1] + values[:, -1:]) / 2
    at = (values >= half).argmax(1)
    before = np.maximum(at - 1, 0)
    rows = np.arange(len(values))
    low, high = values[rows, before], values[rows, at]
    share = np.divide(half[:, 0] - low, high - low, out=np.zeros(len(values)), where=high > low)
    start, end = tokens[before], tokens[at]
    straight = start + share * (end - start)
    positive = np.where(start > 0, start, 1.0)
    curved = positive * (np.where(end > 0, end, 1.0) / positive) ** share
    return np.asarray(np.where(values[:, -1] > values[:, 0], np.where(start > 0, curved, straight), np.nan), dtype=np.float64)


def scores_over(score: Callable[[Floats], Floats], sums: Floats, snapshots: int) -> Floats:
    """The curves of summed statistics: a score of every snapshot's own columns, (num_sums, snapshots).

    Args:
        score: of the columns of one snapshot.
        sums: those of all snapshots side by side, (num_sums, snapshots * columns).
        snapshots: how many.
    """
    return np.stack([score(part) for part in np.split(sums, snapshots, axis=1)], axis=1)
