"""Statistics of problems are those that the problems themselves show; tests of counts agree with scipy and see what is wrong."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chi2

from igsm_pipeline.problems import FamilySettings, Problem, ProblemBatch, ProblemSetSettings, generate_block
from igsm_pipeline.problems.describe.op_law import chi_square, expected_runs, longest_likely_run, longest_run, op_law, run_lengths
from igsm_pipeline.problems.describe.statistics import COUNTS, count_problems, problem_keys
from igsm_pipeline.problems.problem import ABSTRACT, INSTANCE
from igsm_pipeline.world import load_world

SEED = 9


@pytest.fixture(scope="module")
def batch() -> ProblemBatch:
    print(f"seed {SEED}")
    settings = ProblemSetSettings(family=FamilySettings(), num_problems=80, block_size=80, seed=SEED, split="all")
    return generate_block(settings, load_world("igsm"), 0)


def depth_of(problem: Problem, parameter: object) -> int:
    return 1 + max((depth_of(problem, parent) for parent in problem.parents(parameter)), default=0)  # type: ignore[arg-type]


def counted(problem: Problem) -> dict[str, int]:
    """The same statistics from a problem's names and statements."""
    graph, necessary = problem.graph, problem.necessary
    childless = {a for a in graph if a.kind == ABSTRACT and not problem.children(a.layer, a.item)}
    return {
        "op": problem.op,
        "statements": len(problem.statements),
        "parameters": len(graph),
        "abstract parameters": sum(a.kind == ABSTRACT for a in graph),
        "necessary parameters": len(necessary),
        "necessary abstract": sum(a.kind == ABSTRACT for a in necessary),
        "necessary instance": sum(a.kind == INSTANCE for a in necessary),
        "depth": depth_of(problem, problem.query),
        "statements with RNG": sum(expression.constant is not None for expression in problem.statements.values()),
        "childless abstract": len(childless),
        "necessary childless abstract": len(childless & necessary),
        "layers": len(problem.categories),
        "items": sum(map(len, problem.items)),
        "abstract query": int(problem.query.kind == ABSTRACT),
    }


def test_statistics_are_those_of_the_problems(batch: ProblemBatch) -> None:
    counts = count_problems(batch.records)
    for row, problem in zip(counts.by_problem, batch, strict=True):
        assert dict(zip(COUNTS, row.tolist(), strict=True)) == counted(problem)
    assert counts.column("childless abstract").any()
    degrees = Counter(
        len(problem.parents(a)) + (a.kind == INSTANCE and problem.statements[a].constant is not None) for problem in batch for a in problem.graph
    )
    assert {degree: number for degree, number in enumerate(counts.in_degrees.tolist()) if number} == degrees


def test_problems_are_equal_exactly_where_their_keys_are(batch: ProblemBatch) -> None:
    records = np.concatenate((batch.records, batch.records[:10]))
    records["statement_order"][85, :2] = records["statement_order"][85, 1::-1]  # another order of statements: the same problem
    changed = records[86:87]["constant"]
    changed[:] = (changed + 1) % 23
    keys = problem_keys(ProblemBatch(records, batch.world, 23))
    assert len(np.unique(keys[:80])) == 80
    assert (keys[80:86] == keys[:6]).all()
    assert keys[86] != keys[6]


def test_the_chi_square_test_is_scipys_to_within_its_approximation() -> None:
    rng, law = np.random.default_rng(SEED), op_law("light", 15)
    for total in (500, 5000, 50_000):
        found = Counter((rng.integers(1, 16, (total, 2)).min(1)).tolist())
        test = chi_square(found, law)
        assert test.p == pytest.approx(chi2.sf(test.statistic, test.freedom), abs=0.005)
        assert test.p > 1e-4


def test_ops_of_another_law_are_seen() -> None:
    rng = np.random.default_rng(SEED)
    assert chi_square(Counter(rng.integers(1, 16, 2000).tolist()), op_law("light", 15)).p < 1e-12
    assert chi_square({1: 5, 9: 1}, {1: 0.9, 2: 0.1}).p == 0
    assert chi_square({1: 10}, {1: 1.0}).p == 1


def test_the_light_law_is_that_of_the_smaller_of_two_dice() -> None:
    pairs = [min(a, b) for a in range(1, 8) for b in range(1, 8)]
    assert op_law("light", 7) == pytest.approx({op: pairs.count(op) / 49 for op in range(1, 8)})


def test_runs_that_chance_does_not_make_are_seen() -> None:
    rng, law = np.random.default_rng(SEED), op_law("light", 15)
    ops = rng.integers(1, 16, (65_536, 2)).min(1)
    limit = longest_likely_run(law, len(ops))
    assert longest_run(ops) < limit <= 20
    assert longest_run(np.sort(ops)) > limit
    assert longest_run(np.array([3, 3, 1, 1, 1, 2])) == 3
    assert longest_run(np.zeros(0, np.int64)) == 0


def test_independent_draws_have_the_expected_number_of_runs_of_each_length() -> None:
    law = {1: 0.5, 2: 0.3, 3: 0.2}
    ops = np.random.default_rng(SEED).choice(list(law), size=200_000, p=list(law.values()))
    lengths = run_lengths(ops)
    assert lengths.sum() == len(ops)
    for length in range(1, 7):
        expected = expected_runs(law, len(ops), length)
        assert abs(np.count_nonzero(lengths == length) - expected) < 8 * np.sqrt(expected)
    assert len(run_lengths(np.sort(ops))) == len(law)
