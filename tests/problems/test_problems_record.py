"""A batch shows itself in one line, takes rows in any form, and refuses what is no batch; a problem travels without what follows from it."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from igsm_pipeline import generate, verify
from igsm_pipeline.errors import BadInput
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.text import document
from igsm_pipeline.world import load_world

BATCH = generate(6, world="mini", op=2, seed=3)
WORLD = load_world("mini")


def test_a_batch_shows_itself_in_one_line() -> None:
    assert repr(BATCH) == f"<6 problems, world {WORLD.content_hash[:8]}, modulus 23>"
    assert repr(BATCH.take([2])) == f"<1 problem, world {WORLD.content_hash[:8]}, modulus 23>"


@pytest.mark.parametrize("rows", [[1, 3], (1, 3), range(1, 4, 2), np.array([1, 3]), slice(1, 4, 2), np.arange(6) % 4 % 3 % 2 == 1], ids=repr)
def test_rows_are_taken_in_any_form(rows: Any) -> None:
    wanted = np.arange(6)[np.asarray(rows) if not isinstance(rows, slice) else rows]
    taken = BATCH.take(rows)
    assert [document(one, "pq") for one in taken] == [document(BATCH[number], "pq") for number in wanted]
    assert len(BATCH.take([])) == 0


@pytest.mark.parametrize("rows", [1, "op", "", None, 2.0, [1.5], [[1]], ["a"], np.int64(1), {1: 2}], ids=repr)
def test_what_names_no_rows_is_refused(rows: Any) -> None:
    with pytest.raises(BadInput, match=r"indices must be a slice, row numbers or a truth value per row, got .*use batch\[5\] for one"):
        BATCH.take(rows)


def test_an_index_is_any_whole_number_and_a_slice_is_sent_to_take() -> None:
    assert BATCH[np.int64(2)] == BATCH[2] == BATCH[-4]
    for odd in (slice(0, 2), 1.0, "1", [1]):
        with pytest.raises(BadInput, match=r"index must be a whole number, got .*; use take for some problems: batch\.take\(slice\(0, 8\)\)"):
            BATCH[odd]  # type: ignore[index]
    with pytest.raises(IndexError):
        BATCH[6]


def test_batches_are_equal_where_records_world_and_modulus_are() -> None:
    assert BATCH == generate(6, world="mini", op=2, seed=3) == pickle.loads(pickle.dumps(BATCH))
    others = (generate(6, world="mini", op=2, seed=4), BATCH.take(slice(3)), ProblemBatch(BATCH.records, WORLD, 7), 5)
    for other in (*others, ProblemBatch(BATCH.records, load_world("igsm"), 23)):
        assert other != BATCH
    with pytest.raises(TypeError, match="unhashable"):
        hash(BATCH)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((np.zeros(3), WORLD, 23), r"records must be an array of dtype RECORD and one dimension, got 'float64 of shape \(3,\)'"),
        ((BATCH.records.reshape(2, 3), WORLD, 23), r"records must be an array of dtype RECORD and one dimension, got 'RECORD of shape \(2, 3\)'"),
        ((BATCH.records[0], WORLD, 23), "records must be an array, got"),
        ((BATCH, WORLD, 23), "records must be an array, got"),
        ((BATCH.records, "mini", 23), "world must be a World, got"),
        ((BATCH.records, WORLD, 2.5), r"modulus must be a whole number from 2 to 65536, got 2\.5"),
    ],
)
def test_what_is_no_batch_is_refused_when_it_is_made(parts: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        ProblemBatch(*parts)


def test_a_problem_travels_without_what_follows_from_it() -> None:
    """Tables of verification are many times as large as the problem; they are made again where they are needed."""
    problem = BATCH[0]
    size = len(pickle.dumps(problem))
    text = document(problem, "pq")
    assert verify(problem, text.solution, text.answer).correct
    assert problem.op == 2
    assert len(pickle.dumps(problem)) == size
    for again in (pickle.loads(pickle.dumps(problem)), copy.copy(problem), copy.deepcopy(problem)):
        assert again == problem
        assert set(vars(again)) == {"modulus", "categories", "items", "statements", "query", "order", "symbols"}
        assert verify(again, text.solution, text.answer).correct
