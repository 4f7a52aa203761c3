"""Finds what went wrong in a model's solutions: unnecessary parameters, and the first wrong parameter.

Parameters are given by their codes (``queries.facts``). The model's states are not used here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from igsm_pipeline.problems.anatomy import NOTHING
from igsm_pipeline.problems.record import ProblemBatch, id_of
from igsm_pipeline.queries.draw import QUERY_SCHEMA
from igsm_pipeline.queries.facts import NEVER, Asking, Facts, analyse
from igsm_pipeline.queries.settings import Candidates
from igsm_pipeline.queries.tasks import TaskName
from igsm_pipeline.text.solution import HEAD

MISTAKE_TASKS: tuple[TaskName, ...] = ("can_next", "nece_next")


@dataclass(frozen=True)
class Mistake:
    """The first wrong parameter of a solution.

    Attributes:
        problem: row of the problem.
        sentence: index of the sentence that defines it.
        parameter: its code.
        known: codes that the sentences before it define.
    """

    problem: int
    sentence: int
    parameter: int
    known: frozenset[int]


def codes_by_name(batch: ProblemBatch, row: int) -> dict[str, int]:
    """Map the name of every parameter of a problem to its code."""
    problem, record = batch[row], batch.records[row]
    return {problem.name(parameter): id_of(record, parameter) for parameter in (*problem.instances, *problem.abstracts)}


def written_codes(text: str, codes: dict[str, int], num_sentences: int | None = None) -> frozenset[int]:
    """Codes that a solution defines, in its first ``num_sentences`` sentences if given; names that the problem lacks are skipped."""
    names = [match["name"] for match in HEAD.finditer(text)][:num_sentences]
    return frozenset(codes[name] for name in names if name in codes)


def find_mistakes(batch: ProblemBatch, verdicts: pa.Table, texts: list[str]) -> list[Mistake]:
    """Find the first wrong parameter of each wrong solution, if the verdict names one and the problem has it; sorted by problem.

    Args:
        batch: the problems.
        verdicts: rows of verdicts.parquet, one per problem of the batch.
        texts: what the model wrote, by problem row.
    """
    found = []
    columns = [verdicts[name].to_pylist() for name in ("problem", "correct", "sentence", "parameter")]
    for row, correct, sentence, name in sorted(zip(*columns, strict=True), key=lambda one: int(one[0])):
        if correct or sentence is None or name is None:
            continue
        codes = codes_by_name(batch, row)
        if name in codes:
            found.append(Mistake(row, sentence, codes[name], written_codes(texts[row], codes, sentence)))
    return found


def find_unnecessary(batch: ProblemBatch, verdicts: pa.Table, texts: list[str]) -> dict[int, frozenset[int]]:
    """Find the unnecessary parameters of the correct solutions: problem row -> their codes."""
    facts, found = analyse(batch.records), {}
    columns = [verdicts[name].to_pylist() for name in ("problem", "correct", "unnecessary_parameters")]
    for row, correct, unnecessary in zip(*columns, strict=True):
        if correct and unnecessary:
            written = written_codes(texts[row], codes_by_name(batch, row))
            found[row] = frozenset(code for code in written if facts.rank[row, code] == NEVER)
    return found


def match_groups(facts: Facts, asking: Asking) -> NDArray[np.int64]:
    """What a query about one parameter is matched by: its missing sources (three or more count as three) and its necessity; -1: it is computed."""
    missing = np.bitwise_count(facts.parents[asking.problem, asking.parameter] & ~asking.known).astype(np.int64)
    necessary = facts.rank[asking.problem, asking.parameter] != NEVER
    return np.where(asking.is_known(), -1, 2 * np.minimum(missing, 3) + necessary)


def mistake_queries(
    batch: ProblemBatch, mistakes: list[Mistake], task: TaskName, candidates: Candidates
) -> tuple[pa.Table, NDArray[np.bool_], NDArray[np.int64]]:
    """Make queries about every candidate at the sentence of each mistake, after the model's own text.

    Args:
        batch: the problems.
        mistakes: sorted by problem, at most one each.
        task: can_next or nece_next.
        candidates: which parameters are asked about, besides the wrong ones.

    Returns:
        The queries (key columns of ``queries.draw.QUERY_SCHEMA``, and ``label``), a mask of those that ask about a wrong parameter whose label is
        false, and what each is matched by (``match_groups``). Labels follow from what the model has written, not from the generator's solution.
    """
    rows = np.array([mistake.problem for mistake in mistakes], dtype=np.int64)
    facts = analyse(batch.records[rows])
    matrix = facts.candidate_matrix(candidates)
    matrix[np.arange(len(rows)), [mistake.parameter for mistake in mistakes]] = True
    number, codes = np.nonzero(matrix)
    known = np.array([sum(1 << code for code in mistake.known) for mistake in mistakes], dtype=np.int64)[number]
    asking = Asking(number, codes, np.full(len(codes), NOTHING), known)
    label = facts.answer(task, batch.modulus, asking) > 0
    position = np.array([mistake.sentence for mistake in mistakes], dtype=np.int16)[number]
    wrong = codes == np.array([mistake.parameter for mistake in mistakes], dtype=np.int64)[number]
    return make_queries(task, rows[number], position, codes, label), wrong & ~label, match_groups(facts, asking)


def make_queries(
    task: TaskName, problem: NDArray[np.integer], position: NDArray[np.integer], codes: NDArray[np.integer], label: NDArray[np.generic]
) -> pa.Table:
    """Make a table of queries about one parameter each, with the types of ``QUERY_SCHEMA``."""
    columns = {
        "problem": problem,
        "task": pa.array([task] * len(codes), pa.string()),
        "position": position,
        "parameter": codes,
        "parameter_b": np.full(len(codes), NOTHING),
        "label": label.astype(np.int16),
    }
    return pa.table({name: pa.array(values, QUERY_SCHEMA.field(name).type) for name, values in columns.items()})
