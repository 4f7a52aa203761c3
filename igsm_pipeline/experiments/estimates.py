"""What stale units will cost on this machine: work, disk, seconds.

Work is counted in problems where a kernel makes or reads them, and in floating-point operations where a network runs. The seconds per
unit of work are the median over finished units of the same stage in this store; before there are any, a rate measured once on an ordinary
core (problems), or half of what a matrix product reaches here just now (operations).

Ours: all of it; estimates are good to a factor of two or three.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from igsm_pipeline.errors import StoreError
from igsm_pipeline.store import MANIFEST, Store, Unit, read_manifest

WORK = "work"
"""Name of the count, in every manifest, that holds the unit's work."""
TOKENS_PER_OPERATION = {"bpe": 30, "phrase": 10}
"""Tokens of a document per operation of its problem, statements that are not needed included; measured on med and mini."""
_SECONDS_PER_PROBLEM = {
    "world": 0.05,
    "problem_sets": 1e-4,
    "token_shards": 2e-5,
    "verdicts": 5e-4,
    "probe_queries": 1e-3,
    "linear_probes": 5e-3,
    "error_correlation": 1e-3,
    "report": 20.0,
}
_BYTES_PER_PROBLEM = {
    "world": 200_000,
    "problem_sets": 200,
    "verdicts": 30,
    "probe_queries": 100,
    "linear_probes": 1000,
    "v_probes": 1000,
    "report": 5_000_000,
}
_GPU_OPERATIONS_PER_S = 2e14


@dataclass(frozen=True)
class Estimate:
    """What some units will cost.

    Attributes:
        tokens: training tokens seen.
        bytes: disk.
        seconds: time, one unit after another.
    """

    tokens: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.tokens + other.tokens, self.bytes + other.bytes, self.seconds + other.seconds)


def estimate(units: Iterable[Unit], store: Store) -> Estimate:
    """What computing the units will cost, one after another."""
    return sum((_estimate_one(unit, store) for unit in units), Estimate())
