"""How many solutions are fully correct, per op, with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

Z95 = 1.959963984540054


class OpAccuracy(NamedTuple):
    """Fully correct solutions of one op.

    Attributes:
        op: the problems' operations; None for all together.
        n: solutions.
        correct: of them fully correct.
        low: lower end of Wilson's 95% interval of the share.
        high: its upper end.
    """

    op: int | None
    n: int
    correct: int
    low: float
    high: float


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95% score interval of a share of independent trials; (0, 1) for no trials.

    Raises:
        ValueError: not 0 <= successes <= n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be between 0 and n, got {successes} of {n}; count them again")
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    spread = Z95 * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    centre, scale = share + Z95**2 / (2 * n), 1 + Z95**2 / n
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return 0.0 if successes == 0 else max(0.0, low), 1.0 if successes == n else min(1.0, high)


def accuracy_by_op(verdicts: Iterable[Mapping[str, Any]]) -> tuple[OpAccuracy, ...]:
    """One row per op in rising order, then one for all; ``verdicts`` are rows with ``op`` and ``correct`` (as in verdicts.parquet)."""
    counts: dict[int, list[int]] = {}
    for row in verdicts:
        one = counts.setdefault(int(row["op"]), [0, 0])
        one[0] += 1
        one[1] += bool(row["correct"])
    rows = [(op, n, correct) for op, (n, correct) in sorted(counts.items())]
    total = (None, sum(n for _, n, _ in rows), sum(correct for _, _, correct in rows))
    return tuple(OpAccuracy(op, n, correct, *wilson_interval(correct, n)) for op, n, correct in (*rows, total))
