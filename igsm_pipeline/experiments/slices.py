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
from igsm_pipeline.problems.settings import LEAST_FIT, MAX_OP, FamilySettings, ProblemSetSettings, fit_chance

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
        BadSettings: the op is beyond what the symbols allow, or hardly a structure of the family has it.
    """
    match = _EXACT.fullmatch(name)
    if match is None:
        return None
    op = int(match["op"]) if match["op"] else family.op_max + int(match["more"] or 0)
    most = family.num_symbols
    if not 1 <= op <= most:
        more = "" if most == MAX_OP else ", or raise family.num_symbols"
        raise BadSettings(f"evaluation.slices: {name}", f"must mean an op of 1 to {most}", op, f"name a smaller op{more}")
    if fit_chance(op, family.ip_max) < LEAST_FIT:
        largest = next(each for each in range(op, 0, -1) if fit_chance(each, family.ip_max) >= LEAST_FIT)
        rule = f"must mean an op that family.ip_max {family.ip_max} has structures for, {largest} at most"
        raise BadSettings(f"evaluation.slices: {name}", rule, op, "name a smaller op, or raise family.ip_max")
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

    Raises:
        BadSettings: the family has no problems of that op.
    """
    op = exact_op(name, family)
    if name == "reask":
        beyond = [other for other in (exact_op(each, family) for each in slices) if other is not None and other > family.op_max]
        op = beyond[0] if beyond else min(family.op_max + 1, family.num_symbols)
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
