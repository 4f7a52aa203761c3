"""Which queries are asked: at most so many (position, parameter) draws per problem, without replacement, the same whoever asks.

Draws belong to a problem's row in its set: they are made in blocks of ``DRAW_BLOCK`` rows, one generator per block, so a
longer set begins with the draws of a shorter one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from igsm_pipeline import seeding
from igsm_pipeline.problems.anatomy import NOTHING
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.queries.facts import NEVER, NUM_CODES, Facts, analyse
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.queries.stage import QUERIES
from igsm_pipeline.queries.tasks import TASKS

DRAW_BLOCK = 4096

QUERY_SCHEMA = QUERIES.schema()
"""The columns of queries.parquet; (problem, task, position, parameter, parameter_b) is the key."""


def draw_queries(batch: ProblemBatch, settings: QuerySettings) -> Iterator[pa.Table]:
    """The draws of a problem set, as one table of ``QUERY_SCHEMA`` per ``DRAW_BLOCK`` problems; rows sorted by their key.

    Example:
        >>> from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate_block
        >>> from igsm_pipeline.world import load_world
        >>> settings = ProblemSetSettings(family=family_by_name("med"), num_problems=3, block_size=3)
        >>> batch = generate_block(settings, load_world("igsm"), 0)
        >>> table = next(draw_queries(batch, QuerySettings(family=settings.family, task="known", per_problem=2)))
        >>> table["problem"].to_pylist()
        [0, 0, 1, 1, 2, 2]
    """
    for block, start in enumerate(range(0, len(batch), DRAW_BLOCK)):
        records = batch.records[start : start + DRAW_BLOCK]
        facts = analyse(records)
        problem, position, parameter, other = _draw_block(facts, settings, block)
        yield make_table(facts, records["op"], settings, start, problem, position, parameter, other)


def list_queries(batch: ProblemBatch, settings: QuerySettings) -> pa.Table:
    """Every query of a task there is: all candidates at all positions, sorted by their key. For few problems (the dense map).

    Example:
        >>> from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate_block
        >>> from igsm_pipeline.world import load_world
        >>> settings = ProblemSetSettings(family=family_by_name("med"), num_problems=3, block_size=3)
        >>> batch = generate_block(settings, load_world("igsm"), 0)
        >>> table = list_queries(batch, QuerySettings(family=settings.family, task="nece"))
        >>> sum(table["label"].to_pylist()) == sum(len(problem.necessary) for problem in batch)
        True
    """
    facts = analyse(batch.records)
    counts, codes = _candidate_codes(facts, settings)
    sizes = _num_queries(facts, settings, counts)
    problem = np.repeat(np.arange(len(batch), dtype=np.int32), sizes)
    number = np.arange(len(problem)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return make_table(facts, batch.records["op"], settings, 0, problem, *_decode(settings, counts, codes, problem, number))


def make_table(
    facts: Facts,
    op: NDArray[np.uint8],
    settings: QuerySettings,
    first_problem: int,
    problem: NDArray[np.int32],
    position: NDArray[np.int16],
    parameter: NDArray[np.uint8],
    other: NDArray[np.uint8],
) -> pa.Table:
    """Queries given by their key, with labels and everything else that ``QUERY_SCHEMA`` holds; ``problem`` counts from ``first_problem``."""
    order = np.lexsort((other, parameter, position, problem))
    problem, position, parameter, other = problem[order], position[order], parameter[order], other[order]
    rank, distance = facts.rank[problem, parameter], facts.distance[problem, parameter]
    columns = [
        (problem + first_problem).astype(np.int32),
        pa.array([settings.task]).take(pa.array(np.zeros(len(problem), np.int8))),
        position,
        parameter,
        other,
        facts.label(settings.task, settings.family.modulus, problem, position, parameter, other),
        pa.array(distance, mask=distance == NEVER),
        facts.depth[problem, parameter],
        rank != NEVER,
        rank < position,
        op[problem],
        pa.array([settings.candidates]).take(pa.array(np.zeros(len(problem), np.int8))),
    ]
    return pa.table([pa.array(column) if isinstance(column, np.ndarray) else column for column in columns], schema=QUERY_SCHEMA)


def _candidate_codes(facts: Facts, settings: QuerySettings) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Number of candidates per problem, and their codes, rising, in the first columns of (num_problems, NUM_CODES)."""
    matrix = facts.candidate_matrix(settings.candidates)
    return matrix.sum(1), np.argsort(~matrix, axis=1, kind="stable").astype(np.uint8)


def _num_queries(facts: Facts, settings: QuerySettings, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Queries of each problem that there are: so many positions, and at each of them one per candidate or per pair of candidates."""
    task = TASKS[settings.task]
    at_a_position = counts * (counts - 1) if task.needs_b else counts
    return at_a_position * (facts.num_steps.astype(np.int64) + 1) if task.asked_at == "steps" else at_a_position


def _decode(
    settings: QuerySettings, counts: NDArray[np.int64], codes: NDArray[np.uint8], problem: NDArray[np.int32], number: NDArray[np.int64]
) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.uint8]]:
    """Position, A and B of the query with a running number in its problem."""
    needs_b = TASKS[settings.task].needs_b
    high, low = np.divmod(number, np.maximum(counts[problem] - needs_b, 1))
    if needs_b:
        return np.zeros(len(number), np.int16), codes[problem, high], codes[problem, low + (low >= high)]
    return high.astype(np.int16), codes[problem, low], np.full(len(number), NOTHING, np.uint8)


def _draw_block(
    facts: Facts, settings: QuerySettings, block: int
) -> tuple[NDArray[np.int32], NDArray[np.int16], NDArray[np.uint8], NDArray[np.uint8]]:
    """Floyd's sampling without replacement, all problems of a block at once."""
    counts, codes = _candidate_codes(facts, settings)
    sizes = _num_queries(facts, settings, counts)
    stream = f"{settings.stream}/{settings.task}/{settings.candidates}"
    uniform = seeding.generator(settings.seed, stream, block).random((DRAW_BLOCK, settings.per_problem))[: len(sizes)]
    wanted = np.minimum(sizes, settings.per_problem)
    drawn = np.full((len(sizes), settings.per_problem), -1, np.int64)
    for turn in range(settings.per_problem):
        last = sizes - wanted + turn
        number = np.minimum((uniform[:, turn] * (last + 1)).astype(np.int64), last)
        taken = (drawn[:, :turn] == number[:, None]).any(1)
        drawn[:, turn] = np.where(turn < wanted, np.where(taken, last, number), -1)
    problem = np.repeat(np.arange(len(sizes), dtype=np.int32), wanted)
    return problem, *_decode(settings, counts, codes, problem, drawn[drawn >= 0])


assert NUM_CODES <= 256
