"""The law of op, and how counts and runs of ops compare with it. Plain Python and numpy: checks ask this at every look."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's test of counts against shares.

    Attributes:
        statistic: the sum of (found - expected)^2 / expected.
        freedom: degrees of freedom.
        p: probability of a larger statistic if the law holds (Wilson and Hilferty's approximation).
    """

    statistic: float
    freedom: int
    p: float


def chi_square(counts: Mapping[int, int], law: Mapping[int, float]) -> ChiSquare:
    """How well counts agree with a law; values that it does not have make p 0, rare ones (expected fewer than 5 times) are put together."""
    total = sum(counts.values())
    if any(number and not law.get(value) for value, number in counts.items()):
        return ChiSquare(math.inf, max(len(law) - 1, 1), 0.0)
    expected, found = [], []
    rare_expected = rare_found = 0.0
    for value, share in law.items():
        if total * share < 5:
            rare_expected, rare_found = rare_expected + total * share, rare_found + counts.get(value, 0)
        else:
            expected.append(total * share)
            found.append(counts.get(value, 0))
    if rare_expected >= 1:
        expected.append(rare_expected)
        found.append(int(rare_found))
    if len(expected) < 2:
        return ChiSquare(0.0, 1, 1.0)
    statistic, freedom = sum((a - b) ** 2 / b for a, b in zip(found, expected, strict=True)), len(expected) - 1
    deviate = ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))
    return ChiSquare(statistic, freedom, math.erfc(deviate / math.sqrt(2)) / 2)


def op_law(law: str, op_max: int, *, balanced: bool = False) -> dict[int, float]:
    """The probability of each op in range data: ``light`` is the smaller of two uniform numbers, ``uniform`` (and every balanced set) is flat.

    Source: the paper's op distribution (app. E), the smaller of two draws from 1..op_max.
    """
    if law == "uniform" or balanced:
        return dict.fromkeys(range(1, op_max + 1), 1 / op_max)
    return {op: (2 * (op_max - op) + 1) / op_max**2 for op in range(1, op_max + 1)}


def run_lengths(ops: NDArray[np.integer]) -> NDArray[np.int64]:
    """Lengths of the runs of equal neighbours, in order; their sum is the number of ops."""
    changes = np.flatnonzero(np.diff(ops)) + 1
    return np.diff(np.concatenate(([0], changes, [len(ops)]))).astype(np.int64)[: len(ops)]


def longest_run(ops: NDArray[np.integer]) -> int:
    """Length of the longest run of equal neighbours; 0 of nothing."""
    return int(run_lengths(ops).max(initial=0))


def expected_runs(law: Mapping[int, float], number: int, length: int) -> float:
    """How many runs of a length independent draws of a law have on average, among ``number`` of them (the ends of the row aside)."""
    return number * sum(share**length * (1 - share) ** 2 for share in law.values())


def longest_likely_run(law: Mapping[int, float], number: int, chance: float = 1e-9) -> int:
    """The run length that independent draws of a law reach or exceed, among ``number`` of them, with less than ``chance``."""
    most = max(law.values())
    if most >= 1:
        return number + 1
    return math.ceil(math.log(chance / max(number, 1)) / math.log(most))
