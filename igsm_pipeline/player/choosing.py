"""Which problems of a member are worth watching: of every slice one solved, one solved with needless work, and one got wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

KINDS = ("solved", "redundant", "wrong")
AT_LEAST = 12


class Chosen(NamedTuple):
    """A problem: its slice and its row there."""

    slice: str
    row: int


def kind_of(row: Mapping[str, Any]) -> str:
    """What became of a problem, from its row of verdicts: solved, redundant or wrong."""
    return "wrong" if not row["correct"] else "redundant" if row["unnecessary_parameters"] else "solved"


def choose_problems(verdicts: Iterable[Mapping[str, Any]], slices: Sequence[str], *, at_least: int = AT_LEAST) -> list[Chosen]:
    """Problems to watch: every kind of every slice that has it once, then more of them in turn until there are enough.

    Within a kind those with the most operations come first, then those whose first error comes late, so that there is something to see before it.

    Args:
        verdicts: rows of greedy verdicts with ``slice``, ``problem``, ``op``, ``correct``, ``unnecessary_parameters`` and ``sentence``.
        slices: in the order in which they are shown.
        at_least: how many are wanted; fewer where there are no more.

    Returns:
        In the order of ``slices``, then of ``KINDS``.
    """
    ranked: dict[tuple[str, str], list[Mapping[str, Any]]] = {(part, kind): [] for part in slices for kind in KINDS}
    for row in verdicts:
        if row["slice"] in slices:
            ranked[row["slice"], kind_of(row)].append(row)
    for rows in ranked.values():
        rows.sort(key=lambda row: (-row["op"], -(row["sentence"] or 0), row["problem"]))
    chosen: dict[tuple[str, str], list[int]] = {group: [] for group in ranked}
    taken, turn = set[Chosen](), 0
    while any(len(rows) > turn for rows in ranked.values()) and (turn == 0 or len(taken) < at_least):
        for group, rows in ranked.items():
            if len(rows) > turn and (turn == 0 or len(taken) < at_least):
                chosen[group].append(rows[turn]["problem"])
                taken.add(Chosen(group[0], rows[turn]["problem"]))
        turn += 1
    return [Chosen(part, row) for (part, _), rows in chosen.items() for row in rows]
