"""Rows judged by several processes: order kept, memory bounded, nobody left behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from igsm_pipeline.problems.workers import map_in_order
from igsm_pipeline.verification.rows.columns import Columns
from igsm_pipeline.verification.rows.hints import MAX_SAMPLES, Sample
from igsm_pipeline.verification.rows.judging import Judged, Judging, Refused
from igsm_pipeline.verification.rows.sources import NumberedRow

CHUNK = 500
"""Rows that a process takes at a time."""
ALONE = 4000
"""Rows below which starting processes takes longer than they save."""
Outcomes = tuple[list[Judged | Refused], list[Sample]]


def judge_rows(rows: Iterable[NumberedRow], judging: Judging, workers: int, samples: list[Sample]) -> Iterator[Judged | Refused]:
    """A verdict or a refusal for every row, in order; at most a few chunks of rows are in memory.

    Args:
        rows: numbered.
        judging: how.
        workers: processes; 1: this one alone. Few rows are judged in this one anyway.
        samples: takes in the first rows that are not right.

    Raises:
        TransientFault: a process was killed.
    """
    chunks = _chunks(rows)
    head = list(islice(chunks, ALONE // CHUNK)) if workers > 1 else []
    if workers <= 1 or sum(map(len, head)) < ALONE:
        for chunk in (*head, *chunks) if workers > 1 else chunks:
            yield from _taken(judge_chunk(chunk, judging), samples)
        return
    for outcomes in map_in_order(_judge_chunk, chain(head, chunks), workers, _begin, (judging,)):
        yield from _taken(outcomes, samples)


def judge_chunk(rows: list[NumberedRow], judging: Judging) -> Outcomes:
    """The outcomes of some rows, and the first rows among them that are not right."""
    columns = Columns(judging.columns)
    outcomes = [judging.judge(number, row, columns) for number, row in rows]
    wrong = (place for place, one in enumerate(outcomes) if isinstance(one, Refused) or not one.verdict.correct)
    return outcomes, [(rows[place][1], outcomes[place]) for place in islice(wrong, MAX_SAMPLES)]


_own: list[Judging] = []
"""Of a worker: how it judges, sent once."""


def _begin(judging: Judging) -> None:
    _own[:] = [judging]


def _judge_chunk(rows: list[NumberedRow]) -> Outcomes:
    return judge_chunk(rows, _own[0])


def _taken(outcomes: Outcomes, samples: list[Sample]) -> list[Judged | Refused]:
    samples.extend(outcomes[1][: MAX_SAMPLES - len(samples)])
    return outcomes[0]


def _chunks(rows: Iterable[NumberedRow]) -> Iterator[list[NumberedRow]]:
    source = iter(rows)
    while chunk := list(islice(source, CHUNK)):
        yield chunk
