"""Fast labels equal the slow, obvious ones; candidates and draws keep their law."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from reference.parameter_facts import code_of, dependency_depth, distance_to_query

from igsm_pipeline.problems import FamilySettings, ProblemBatch, ProblemSetSettings, generate_block
from igsm_pipeline.problems.anatomy import NOTHING
from igsm_pipeline.queries.draw import DRAW_BLOCK, QUERY_SCHEMA, draw_queries, list_queries
from igsm_pipeline.queries.facts import NEVER, NO_EDGE, NUM_CODES, analyse, parameter_of_code
from igsm_pipeline.queries.labels import exists, label_query, list_candidates
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.world import load_world

FAMILY = FamilySettings(op_max=12, ip_max=18, modulus=11, op_law="uniform", split_by="problem")
CANDIDATES = ("graph", "existing", "text", "all")


@pytest.fixture(scope="module")
def batch() -> ProblemBatch:
    settings = ProblemSetSettings(family=FAMILY, num_problems=48, block_size=48, seed=11, split="all")
    return generate_block(settings, load_world("mini"), 0)


def query_settings(task: str, **other: object) -> QuerySettings:
    return QuerySettings.parse({"family": FAMILY, "task": task, **other}, "test")


@pytest.mark.parametrize("task", TASKS)
def test_every_fast_label_equals_the_slow_one(batch: ProblemBatch, task: str) -> None:
    table = list_queries(batch, query_settings(task, candidates="all"))
    problems, seen = list(batch), set()
    for row in table.to_pylist():
        record, problem = batch.records[row["problem"]], problems[row["problem"]]
        first = parameter_of_code(record, row["parameter"])
        second = parameter_of_code(record, row["parameter_b"]) if task == "dep" else None
        assert row["label"] == label_query(problem, task, row["position"], first, second), (row, first)
        assert row["necessary"] == (first in problem.necessary)
        assert row["known"] == (first in problem.order[: row["position"]])
        seen.add(row["label"])
    assert seen == (set(range(FAMILY.modulus + 1)) if task == "value" else {0, 1})


def test_distance_and_depth_equal_the_slow_ones(batch: ProblemBatch) -> None:
    facts = analyse(batch.records)
    for n, problem in enumerate(batch):
        for parameter in list_candidates(problem, "all"):
            code = code_of(batch.records[n], parameter)
            assert facts.distance[n, code] == (NEVER if (far := distance_to_query(problem, parameter)) is None else far)
            assert facts.depth[n, code] == dependency_depth(problem, parameter)


@pytest.mark.parametrize("candidates", CANDIDATES)
def test_candidate_sets_are_those_of_the_definition(batch: ProblemBatch, candidates: str) -> None:
    matrix = analyse(batch.records).candidate_matrix(candidates)
    for n, problem in enumerate(batch):
        found = sorted(parameter_of_code(batch.records[n], int(code)) for code in np.flatnonzero(matrix[n]))
        assert tuple(found) == list_candidates(problem, candidates)


def test_candidate_sets_are_nested_and_all_counts_every_pair(batch: ProblemBatch) -> None:
    for problem in batch:
        graph, text, existing, everything = (set(list_candidates(problem, one)) for one in ("graph", "text", "existing", "all"))
        assert problem.query in text <= graph <= existing <= everything
        widths = [len(layer) for layer in problem.items]
        pairs = sum(above * below for above, below in itertools.pairwise(widths))
        assert len(everything) == pairs + len(problem.abstracts)
        assert all(not exists(problem, one) for one in everything - existing)


def test_codes_are_one_to_one_and_pairs_without_an_edge_keep_their_name(batch: ProblemBatch) -> None:
    for record, problem in zip(batch.records, batch, strict=True):
        everything = list_candidates(problem, "all")
        codes = [code_of(record, one) for one in everything]
        assert len(set(codes)) == len(codes)
        assert max(codes) < NUM_CODES
        for one, code in zip(everything, codes, strict=True):
            assert parameter_of_code(record, code) == one
            assert (code >= NO_EDGE) == (not exists(problem, one))
            owner, _, thing = problem.name(one).partition("'s ")
            assert owner == problem.items[one.layer][one.item]
            assert thing


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("per_problem", [1, 10, 200])
def test_draws_are_distinct_at_most_so_many_and_all_where_there_are_fewer(batch: ProblemBatch, task: str, per_problem: int) -> None:
    settings = query_settings(task, per_problem=per_problem)
    (table,) = draw_queries(batch, settings)
    assert table.schema == QUERY_SCHEMA
    every = {tuple(row.values()) for row in list_queries(batch, settings).to_pylist()}
    drawn = [tuple(row.values()) for row in table.to_pylist()]
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= every
    available = np.bincount([row[0] for row in every], minlength=len(batch))
    assert np.array_equal(np.bincount([row[0] for row in drawn], minlength=len(batch)), np.minimum(available, per_problem))


def test_pairs_of_a_parameter_with_itself_are_no_candidates(batch: ProblemBatch) -> None:
    table = list_queries(batch, query_settings("dep", candidates="all"))
    first, second = table.column("parameter").to_numpy(), table.column("parameter_b").to_numpy()
    assert (first != second).all()
    assert (second != NOTHING).all()


def test_positions_run_from_the_prompt_to_the_last_sentence_and_are_drawn_evenly(batch: ProblemBatch) -> None:
    counts = np.zeros(4)
    for seed in range(60):
        (table,) = draw_queries(batch, query_settings("known", seed=seed))
        position = table.column("position").to_numpy()
        steps = batch.records["num_necessary"][table.column("problem").to_numpy()].astype(int)
        assert (position <= steps).all()
        counts += np.bincount(position[steps == 3], minlength=4)[:4]
    expected = counts.sum() / 4
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < 16.3, counts  # 3 degrees of freedom, p = 0.001; draws without replacement vary less


def test_draws_belong_to_the_row_and_to_the_seed(batch: ProblemBatch) -> None:
    settings = query_settings("value")
    (whole,) = draw_queries(batch, settings)
    (part,) = draw_queries(batch.take(slice(0, 20)), settings)
    assert part.equals(whole.slice(0, len(part)))
    for other in (query_settings("value", seed=1), query_settings("value", stream="other"), query_settings("known")):
        (changed,) = draw_queries(batch, other)
        assert changed.column("parameter") != whole.column("parameter")


def test_blocks_of_draws_continue_one_another() -> None:
    settings = ProblemSetSettings(family=FAMILY, num_problems=8, block_size=8, seed=1, split="all")
    few = generate_block(settings, load_world("mini"), 0)
    many = ProblemBatch(np.resize(few.records, DRAW_BLOCK + 8), few.world, few.modulus)
    first, second = draw_queries(many, query_settings("nece"))
    assert first.column("problem").to_numpy().max() == DRAW_BLOCK - 1
    assert second.column("problem").to_numpy().min() == DRAW_BLOCK
    head, tail = first.filter(first.column("problem").to_numpy() < 8), second
    assert head.column("parameter") != tail.column("parameter")
