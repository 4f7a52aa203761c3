"""The only place that makes random generators.

Every random stream has a name ``(seed, stream, block)``: the seed of the experiment, its purpose, and a running number. Streams are independent
by construction (``numpy.random.SeedSequence`` with a spawn key); a seed is never added to an index, so seeds 42 and 43 have nothing in common.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def seed_sequence(seed: int, stream: str, block: int = 0) -> np.random.SeedSequence:
    """The seed sequence of one named stream; ``block`` counts from 0."""
    stream_id = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:4], "big")
    return np.random.SeedSequence(seed, spawn_key=(stream_id, block))


def generator(seed: int, stream: str, block: int = 0) -> np.random.Generator:
    """A numpy generator of one named stream."""
    return np.random.Generator(np.random.PCG64(seed_sequence(seed, stream, block)))


def kernel_key(seed: int, stream: str, block: int = 0) -> NDArray[np.uint64]:
    """Four 64-bit words that key a counter-addressed kernel generator (see ``problems.law.random``). Shape (4,)."""
    return seed_sequence(seed, stream, block).generate_state(4, np.uint64).astype(np.uint64)


def torch_seed(seed: int, stream: str, block: int = 0) -> int:
    """A 63-bit integer for ``torch.Generator.manual_seed``."""
    return int(seed_sequence(seed, stream, block).generate_state(1, np.uint64)[0] >> np.uint64(1))
