"""Draws inside kernels: xoshiro256++, keyed by (block key, draw number), the same on every machine.

A block's key is four 64-bit words from ``seeding.kernel_key``. Proposal number ``draw`` of the block has its own generator, whose
state is the key and the draw number mixed by splitmix64; so any one problem can be made again without its neighbours.

Ours: the generator. ``below`` takes the high 32 bits (bias below n / 2**32).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from igsm_pipeline.problems.anatomy import count_bits, lowest_bit
from igsm_pipeline.problems.kernel import Bool, Int, kernel
from igsm_pipeline.problems.kernel import Words as State

_U = np.uint64
_GOLDEN, _MIX1, _MIX2 = _U(0x9E3779B97F4A7C15), _U(0xBF58476D1CE4E5B9), _U(0x94D049BB133111EB)


@kernel
def mix64(word: np.uint64) -> Any:
    """The splitmix64 finaliser of a 64-bit word."""
    word = (word ^ (word >> _U(30))) * _MIX1
    word = (word ^ (word >> _U(27))) * _MIX2
    return word ^ (word >> _U(31))


@kernel
def start(state: State, key: State, draw: Int) -> None:
    """Set ``state`` (shape (4,)) to the generator of proposal ``draw`` under ``key`` (shape (4,))."""
    for word in range(4):
        state[word] = mix64(key[word] ^ mix64(_U(draw) * _GOLDEN + _U(word)))


@kernel
def next64(state: State) -> Any:
    """The next 64 random bits."""
    total = state[0] + state[3]
    result = ((total << _U(23)) | (total >> _U(41))) + state[0]
    shifted = state[1] << _U(17)
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= shifted
    state[3] = (state[3] << _U(45)) | (state[3] >> _U(19))
    return result


@kernel
def below(state: State, n: Int) -> Int:
    """Uniform integer in 0..n-1; n at most 2**31."""
    return np.int64(((next64(state) >> _U(32)) * _U(n)) >> _U(32))


@kernel
def unit(state: State) -> float:
    """Uniform real in [0, 1), 53 bits."""
    return np.float64(next64(state) >> _U(11)) * (1.0 / 9007199254740992.0)


@kernel
def coin(state: State) -> Bool:
    """True with probability 1/2."""
    return (next64(state) >> _U(63)) != _U(0)


@kernel
def half_normal(state: State) -> float:
    """|N(0, 1)| by Box and Muller; two draws."""
    radius = math.sqrt(-2.0 * math.log(1.0 - unit(state)))
    return abs(radius * math.cos(2.0 * math.pi * unit(state)))


@kernel
def nth_bit(mask: Int, n: Int) -> Int:
    """Index of the n-th one (from 0, rising) of a mask."""
    for _ in range(n):
        mask &= mask - 1
    return lowest_bit(mask)


@kernel
def pick_bit(state: State, mask: Int) -> Int:
    """Index of a uniform one of a non-zero mask; one draw, also where there is no choice."""
    return nth_bit(mask, below(state, count_bits(mask)))
