"""Shares with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable

Z95 = 1.959963984540054


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """The 95% Wilson score interval of a share; (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = successes / n, Z95 * Z95
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def count_by_op(verdicts: Iterable[tuple[int, bool]]) -> dict[int, tuple[int, int]]:
    """op -> (correct, n) of (op, correct) pairs, ops rising."""
    counts: dict[int, list[int]] = {}
    for op, correct in verdicts:
        entry = counts.setdefault(op, [0, 0])
        entry[0] += correct
        entry[1] += 1
    return {op: (correct, n) for op, (correct, n) in sorted(counts.items())}
