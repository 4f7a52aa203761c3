"""Takes windows apart again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def documents_of(tokens: NDArray[Any], length: int, bos: int) -> list[NDArray[Any]]:
    """The documents of an aligned, best-fit or single window, each from ``bos`` on. Inverse of packing."""
    real = tokens[:length]
    starts = np.flatnonzero(real == bos)
    return [real[start:end] for start, end in zip(starts, [*starts[1:], length], strict=True)]
