"""Verifies rows in several processes: the order is kept, memory is bounded, and no process is left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any, TypeVar

from igsm_pipeline.problems.workers import map_in_order
from igsm_pipeline.verification.rows.columns import Columns
from igsm_pipeline.verification.rows.hints import MAX_SAMPLES, Sample
from igsm_pipeline.verification.rows.judging import Judged, Judging, Refused
from igsm_pipeline.verification.rows.sources import NumberedRow

CHUNK = 500
"""Rows that a process takes at a time."""
ALONE = 4000
"""With fewer rows, starting processes takes longer than it saves."""
R = TypeVar("R")
Rows = list[Judged | Refused]
Digest = Callable[[Rows], R]
"""Turns the outcomes of a chunk of rows into a result, in the process that judged them; picklable."""


def judge_rows(rows: Iterable[NumberedRow], judging: Judging, workers: int, samples: list[Sample]) -> Iterator[Judged | Refused]:
    """Yield a verdict or a refusal for every row, in order; arguments and errors as for ``judge_chunks``."""
    for outcomes in judge_chunks(rows, judging, workers, samples, _as_they_are):
        yield from outcomes


def judge_chunks(rows: Iterable[NumberedRow], judging: Judging, workers: int, samples: list[Sample], digest: Digest[R]) -> Iterator[R]:
    """Yield the result of ``digest`` for every chunk of rows, in order; only a few chunks are in memory.

    Args:
        rows: numbered rows.
        judging: how to judge.
        workers: number of processes; 1: only this one, which also judges small files.
        samples: gets the first rows that are not right.
        digest: turns a chunk's outcomes into a result.

    Raises:
        TransientFault: a process was killed.
    """
    chunks = _chunks(rows)
    head = list(islice(chunks, ALONE // CHUNK)) if workers > 1 else []
    made: Iterator[tuple[R, list[Sample]]]
    if workers <= 1 or sum(map(len, head)) < ALONE:
        made = (_judge(chunk, judging, digest) for chunk in chain(head, chunks))
    else:
        made = map_in_order(_judge_own, chain(head, chunks), workers, _begin, (judging, digest))
    for one, wrong in made:
        samples.extend(wrong[: MAX_SAMPLES - len(samples)])
        yield one


def _judge(rows: list[NumberedRow], judging: Judging, digest: Digest[R]) -> tuple[R, list[Sample]]:
    """The digest of some rows, and the first rows among them that are not right."""
    columns = Columns(judging.columns)
    outcomes = [judging.judge(number, row, columns) for number, row in rows]
    wrong = (place for place, one in enumerate(outcomes) if isinstance(one, Refused) or not one.verdict.correct)
    return digest(outcomes), [(rows[place][1], outcomes[place]) for place in islice(wrong, MAX_SAMPLES)]


_own: list[tuple[Judging, Digest[Any]]] = []
"""How a worker process judges, and its digest; sent once."""


def _begin(judging: Judging, digest: Digest[Any]) -> None:
    _own[:] = [(judging, digest)]


def _judge_own(rows: list[NumberedRow]) -> tuple[Any, list[Sample]]:
    return _judge(rows, *_own[0])


def _as_they_are(outcomes: Rows) -> Rows:
    return outcomes


def _chunks(rows: Iterable[NumberedRow]) -> Iterator[list[NumberedRow]]:
    source = iter(rows)
    while chunk := list(islice(source, CHUNK)):
        yield chunk
