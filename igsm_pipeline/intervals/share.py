"""Shares of independent trials, with Wilson's interval."""

from __future__ import annotations

import math

from igsm_pipeline.intervals.interval import Interval

Z95 = 1.959963984540054


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


def share(hits: int, n: int) -> Interval:
    """The share of successes in independent trials, with Wilson's interval. Without trials the share is undefined, between 0 and 1.

    Args:
        hits: number of successes.
        n: number of trials.

    Raises:
        ValueError: not 0 <= hits <= n.
    """
    low, high = wilson_interval(hits, n)
    return Interval(hits / n if n else math.nan, low, high, n)
