"""What kernels know of a problem's parameters is what the problem itself says, for problems of any shape."""

from __future__ import annotations

import numpy as np
import pytest
from reference.drawn_records import draw_batch

from igsm_pipeline.problems import Parameter, ProblemBatch
from igsm_pipeline.problems.anatomy import (
    MAX_INSTANCES,
    MAX_LAYERS,
    MAX_WIDTH,
    NUM_PARAMETERS,
    abstract_id,
    abstract_place,
    edge_id,
    edge_place,
    existing_mask,
    has_constant,
    item_place,
    list_edges,
    locate_edges,
    order_mask,
    parameter_place,
    parent_mask,
    query_of,
)
from igsm_pipeline.problems.record import id_of
from igsm_pipeline.world import load_world

Ids = dict[Parameter, int]


@pytest.fixture(scope="module")
def batch() -> ProblemBatch:
    return draw_batch(load_world("igsm"), 23, 60, seed=4)


def edges_of(row: np.void) -> tuple[np.ndarray, np.ndarray, int]:
    first_edge, edges = np.zeros((3, 4), np.int64), np.zeros((MAX_INSTANCES, 3), np.int64)
    number = locate_edges(row["children"], first_edge)
    assert list_edges(row["children"], edges) == number
    return first_edge, edges, number


def ids_of(batch: ProblemBatch, index: int) -> Ids:
    """The id of every parameter, instance parameters numbered as they are sorted, abstract ones by layer, item and target."""
    problem = batch[index]
    abstract = [(i, j, c) for i in range(MAX_LAYERS - 1) for j in range(MAX_WIDTH) for c in range(i + 1, MAX_LAYERS)]
    return {one: number for number, one in enumerate(problem.instances)} | {
        one: MAX_INSTANCES + abstract.index((one.layer, one.item, one.target)) for one in problem.abstracts
    }


def mask_of(ids: Ids, parameters: object) -> int:
    return sum(1 << ids[one] for one in set(parameters))  # type: ignore[call-overload]


def test_abstract_ids_are_numbered_without_a_gap_and_lead_back() -> None:
    places = [(i, j, c) for i in range(MAX_LAYERS - 1) for j in range(MAX_WIDTH) for c in range(i + 1, MAX_LAYERS)]
    assert [abstract_id(*place) for place in places] == list(range(MAX_INSTANCES, NUM_PARAMETERS))
    assert [abstract_place(number) for number in range(MAX_INSTANCES, NUM_PARAMETERS)] == places


def test_every_parameter_has_the_id_and_the_place_that_the_problem_gives_it(batch: ProblemBatch) -> None:
    for index, row in enumerate(batch.records):
        first_edge, edges, number = edges_of(row)
        ids = ids_of(batch, index)
        assert number == len(batch[index].instances)
        for parameter, parameter_id in ids.items():
            assert id_of(row, parameter) == parameter_id
            assert Parameter(*parameter_place(edges, parameter_id)) == parameter
        for one in batch[index].instances:
            assert edge_place(row["children"], ids[one]) == one[1:]
            assert edge_id(row["children"], first_edge, *one[1:]) == ids[one]
        assert edge_place(row["children"], number) == (-1, -1, -1)
        assert existing_mask(row["widths"], number) == mask_of(ids, ids)


def test_parents_and_constants_are_those_of_the_problem(batch: ProblemBatch) -> None:
    for index, row in enumerate(batch.records):
        first_edge, ids, problem = edges_of(row)[0], ids_of(batch, index), batch[index]
        for parameter, parameter_id in ids.items():
            assert parent_mask(row["children"], row["parents"], first_edge, parameter_id) == mask_of(ids, problem.parents(parameter))
        for one, statement in problem.statements.items():
            assert has_constant(row["parents"][ids[one]]) == (statement.constant is not None)


def test_order_and_query_are_those_of_the_problem(batch: ProblemBatch) -> None:
    for index, row in enumerate(batch.records):
        ids, problem = ids_of(batch, index), batch[index]
        assert query_of(row) == ids[problem.query]
        for length in range(len(problem.order) + 1):
            assert order_mask(row["order"], length) == mask_of(ids, problem.order[:length])


def test_names_stand_where_the_world_keeps_them(batch: ProblemBatch) -> None:
    for index, row in enumerate(batch.records):
        for layer, names in enumerate(batch[index].items):
            for item, name in enumerate(names):
                hierarchy, place, subcategory, number = item_place(row, layer, item)
                assert batch.world.hierarchies[hierarchy].layers[place].subcategories[subcategory].items[number] == name
