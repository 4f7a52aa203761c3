"""Evaluation slices: turns the name of a slice into a problem set.

    op<=max     in distribution: op by the family's law up to op_max
    op=max      op exactly op_max
    op=max+K    op exactly op_max + K (out of distribution)
    op=N        op exactly N
    reask       problems of the first out-of-distribution slice with another query, drawn so that shortcuts are hardest
    by_op       every op from 1 to op_max equally often; read one row per op

Source: op<=max, op=max, exact ops beyond it and reask are the columns of the paper's figure 3. Ours: ``by_op``, and reask with op_max + 1
if no out-of-distribution slice is listed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from igsm_pipeline.errors import BadSettings
from igsm_pipeline.problems.settings import MAX_OP, FamilySettings, ProblemSetSettings

_EXACT = re.compile(r"op=(?:max(?:\+(?P<more>\d{1,2}))?|(?P<op>\d{1,2}))")
NAMED = ("op<=max", "reask", "by_op")
MONITOR, PROBE_TRAIN = "monitor", "probe_train"


def check_slice(name: str) -> str:
    """Return the name if it is that of a slice.

    Raises:
        ValueError: it is not.
    """
    if name not in NAMED and not _EXACT.fullmatch(name):
        raise ValueError(f"a slice must be op<=max, op=max, op=max+K, op=N, reask or by_op, not {name!r}: correct its name")
    return name


def exact_op(name: str, family: FamilySettings) -> int | None:
    """The op of an exact slice; None for the others.

    Raises:
        BadSettings: the op is beyond what the symbols allow.
    """
    match = _EXACT.fullmatch(name)
    if match is None:
        return None
    op = int(match["op"]) if match["op"] else family.op_max + int(match["more"] or 0)
    if not 1 <= op <= MAX_OP:
        raise BadSettings(f"evaluation.slices: {name}", f"must mean an op of 1 to {MAX_OP}", op, "name a smaller op")
    return op


def slice_set(name: str, slices: Sequence[str], family: FamilySettings, *, num_problems: int, per_op: int, seed: int) -> ProblemSetSettings:
    """The problem set of one evaluation slice, from the test split.

    Args:
        name: the slice.
        slices: all slices of the experiment; ``reask`` uses the first of them that is out of distribution.
        family: the experiment's family.
        num_problems: problems of a slice.
        per_op: problems per op of ``by_op``.
        seed: seed of the evaluation problems.
    """
    op = exact_op(name, family)
    if name == "reask":
        beyond = [other for other in (exact_op(each, family) for each in slices) if other is not None and other > family.op_max]
        op = beyond[0] if beyond else min(family.op_max + 1, MAX_OP)
    balanced = name == "by_op"
    stream = f"evaluation {name}" if op is None else f"evaluation op={op}"
    return ProblemSetSettings(
        family=family,
        law="range" if op is None else "exact",
        op=op,
        balanced=balanced,
        reask=name == "reask",
        split="test",
        num_problems=per_op * family.op_max if balanced else num_problems,
        seed=seed,
        stream=stream,
    )
