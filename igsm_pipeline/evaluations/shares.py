"""Answers as shares: right answers and fully correct solutions per model, by number of operations and over all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from igsm_pipeline.evaluations.logs import Row
from igsm_pipeline.intervals.share import share

MEASURES = ("right_answer", "fully_correct")
GROUP = ("model", "style", "shots", "modulus", "format")
"""What one curve is of."""


def each_once(rows: Iterable[Row]) -> Iterator[Row]:
    """The answers without those to a question (seed, number, operations) that an earlier run of the same group answers."""
    first: dict[tuple[object, ...], object] = {}
    for row in rows:
        asked = tuple(row[name] for name in (*GROUP, "seed", "question", "op"))
        if first.setdefault(asked, row["run"]) == row["run"]:
            yield row


def shares_by_op(rows: Iterable[Row]) -> list[Row]:
    """The rows of the table ``llm_by_op``: per group and measure one row over all operations (op null), then one per number of operations.

    Ours: questions of one format are independent, so the interval is Wilson's. Runs of one group (other seeds, other operations) are put together; a
    question that several of them ask, as when a log was asked for again, counts once, as the first run has it.
    """
    counted: dict[tuple[object, ...], dict[int | None, list[bool]]] = {}
    for row in each_once(rows):
        for measure in MEASURES:
            if row[measure] is not None:
                cells = counted.setdefault((*(row[name] for name in GROUP), measure), {})
                for op in (None, row["op"]):
                    cells.setdefault(op, []).append(row[measure])
    found = []
    for key, cells in sorted(counted.items(), key=lambda item: tuple(map(str, item[0]))):
        for op in (None, *sorted(op for op in cells if op is not None)):
            hits = cells[op]
            value = share(sum(hits), len(hits))
            found.append({**dict(zip((*GROUP, "measure"), key, strict=True)), "op": op, "n": len(hits), **value.columns("share")})
    return found
