"""What can be a modulus: the one rule for whatever takes one."""

from __future__ import annotations

from typing import Any

from igsm_pipeline.errors import BadInput, whole_number

LARGEST_MODULUS = 1 << 16
"""Verification keeps a table of all numbers below the modulus."""


def whole_modulus(value: Any, kind: type[BadInput] = BadInput) -> int:
    """Return a modulus as an ``int``: numpy's numbers overflow, and a float is equal to an ``int`` where results are remembered.

    Args:
        value: M, as it was given.
        kind: the error of the place.

    Raises:
        BadInput: it is no whole number from 2 to ``LARGEST_MODULUS``.

    Example:
        >>> whole_modulus(23)
        23
    """
    return whole_number("modulus", value, 2, LARGEST_MODULUS, "correct it", kind)
