"""How this package compiles: one decorator, and the types that kernels speak in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Bytes = NDArray[np.uint8]
Int = Any
"""An integer: int64 compiled, Python's or numpy's where compilation is off."""
Bool = Any
"""Likewise a truth value."""
Row = Any
"""One row of a ``RECORD`` array; numba reads its fields as attributes, numpy types do not know them."""


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile with numba, cached on disk; with NUMBA_DISABLE_JIT=1 the function stays plain Python."""
    return cast(Callable[P, R], njit(cache=True)(function))
