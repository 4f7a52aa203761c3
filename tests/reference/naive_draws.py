"""The kernels' random generator in plain Python integers: xoshiro256++ seeded by splitmix64 from (key, draw number)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
WORD = 2**64 - 1


def mix64(word: int) -> int:
    """The splitmix64 finaliser."""
    word &= WORD
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & WORD
    return word ^ (word >> 31)


def _rotate(word: int, by: int) -> int:
    return (word << by | word >> (64 - by)) & WORD


class Draws:
    """The stream of one proposal."""

    def __init__(self, key: Sequence[int], draw: int) -> None:
        self.state = [mix64(key[word] ^ mix64(draw * 0x9E3779B97F4A7C15 + word)) for word in range(4)]

    def next64(self) -> int:
        """The next 64 bits."""
        s0, s1, s2, s3 = self.state
        result = (_rotate((s0 + s3) & WORD, 23) + s0) & WORD
        s2, s3 = s2 ^ s0, s3 ^ s1
        self.state = [s0 ^ s3, s1 ^ s2, s2 ^ (s1 << 17 & WORD), _rotate(s3, 45)]
        return result

    def below(self, n: int) -> int:
        """Uniform in 0..n-1."""
        return (self.next64() >> 32) * n >> 32

    def unit(self) -> float:
        """Uniform in [0, 1)."""
        return (self.next64() >> 11) / 2**53

    def coin(self) -> bool:
        """True with probability 1/2."""
        return self.next64() >> 63 == 1

    def half_normal(self) -> float:
        """|N(0, 1)|."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.unit()))
        return abs(radius * math.cos(2.0 * math.pi * self.unit()))

    def choice(self, pool: Sequence[T]) -> T:
        """A uniform one of a list."""
        return pool[self.below(len(pool))]

    def weighted(self, pool: Sequence[T], weights: Sequence[float]) -> T:
        """One of a list by weight, from running sums."""
        point, total = self.unit() * sum(weights), 0.0
        for one, weight in zip(pool, weights, strict=True):
            total += weight
            if point < total:
                return one
        return pool[-1]

    def weighted_by_subtraction(self, pool: Sequence[T], weights: Sequence[float]) -> T:
        """One of a list by weight, taking weights off the point until it is negative."""
        total = 0.0
        for weight in weights:
            total += weight
        point = self.unit() * total
        for one, weight in zip(pool, weights, strict=True):
            point -= weight
            if point < 0.0:
                return one
        return pool[-1]
