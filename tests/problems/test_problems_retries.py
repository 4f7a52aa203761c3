"""Retries: what is wrong by each kind, how often, how evenly; the same draws whoever makes them. Reference: the slow definition of the tasks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from igsm_pipeline.problems import FamilySettings, Problem, ProblemBatch, ProblemSetSettings, generate_block
from igsm_pipeline.problems.law.retries import Retries, draw_retries
from igsm_pipeline.problems.record import id_of, parameter_of
from igsm_pipeline.problems.settings import RetrySettings
from igsm_pipeline.queries.labels import label_query, list_candidates
from igsm_pipeline.world import load_world

FAMILY = FamilySettings(op_max=15, ip_max=20, modulus=23)
KINDS = ("retry", "weak", "miss")


def problems(number: int, seed: int) -> ProblemBatch:
    return generate_block(ProblemSetSettings(family=FAMILY, num_problems=number, block_size=number, seed=seed), load_world("igsm"), 0)


def wrong(problem: Problem, kind: str, sentence: int, taken_back: set[int], row: NDArray[np.void]) -> set[int]:
    """Ids of the parameters that the definition of the kind allows before a sentence."""
    known = set(problem.order[:sentence])
    if kind == "weak":
        return {id_of(row, one) for one in problem.order[sentence + 1 :]}
    if kind == "miss":
        return {id_of(row, one) for one in list_candidates(problem, "text") if one not in known} - taken_back
    existing = [one for one in list_candidates(problem, "existing") if one not in known]
    return {id_of(row, one) for one in existing if not label_query(problem, "can_next", sentence, one)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_retry_is_wrong_in_the_way_of_its_kind(kind: str) -> None:
    batch = problems(150, seed=1)
    drawn = draw_retries(batch.records, RetrySettings(kind=kind, rate=0.7, seed=3))
    assert len(drawn) > 500
    for index, problem in enumerate(batch):
        taken_back: set[int] = set()
        for sentence, parameter in drawn.of(index):
            allowed = wrong(problem, kind, sentence, taken_back, batch.records[index])
            assert parameter in allowed, f"{parameter_of(batch.records[index], parameter)} before sentence {sentence} of problem {index}"
            taken_back.add(parameter)


@pytest.mark.parametrize("kind", KINDS)
def test_retries_come_at_their_rate_and_evenly_over_what_is_wrong(kind: str) -> None:
    """Before each sentence their number is geometric; among equal choices each is as frequent as any other (chi-square, 6 standard deviations)."""
    rate = 0.4
    batch = problems(1, seed=2)
    row, problem = batch.records[0], batch[0]
    many = np.repeat(batch.records, 30_000)
    many["slot"] = np.arange(len(many))
    drawn = draw_retries(many, RetrySettings(kind=kind, rate=rate, seed=5))
    first = np.r_[True, (np.diff(drawn.problem) != 0) | (np.diff(drawn.sentence) != 0)]
    for sentence in range(len(problem.order)):
        allowed = wrong(problem, kind, sentence, set(), row)
        here = drawn.sentence == sentence
        if not allowed:
            assert not here.any()
            continue
        share = (here & first).sum() / len(many)
        assert abs(share - rate) < 6 * np.sqrt(rate * (1 - rate) / len(many)) or kind == "miss", f"sentence {sentence}: {share} began a retry"
        if kind != "miss":  # what "miss" may name depends on what it named before
            counts = Counter(drawn.parameter[here].tolist())
            assert counts.keys() == allowed
            expected = here.sum() / len(allowed)
            square = sum((counts[one] - expected) ** 2 / expected for one in allowed)
            assert square < len(allowed) + 6 * np.sqrt(2 * len(allowed)) + 6
            assert abs(here.sum() / (here & first).sum() - 1 / (1 - rate)) < 0.05


def test_problems_that_differ_in_their_draw_alone_have_other_retries() -> None:
    """Problems of one's own have no block: their row is their draw."""
    same = np.repeat(problems(1, seed=2).records, 200)
    same["draw"] = np.arange(200)
    drawn = draw_retries(same, RetrySettings(rate=0.5))
    assert len({tuple(drawn.of(row)) for row in range(200)}) > 50


def test_a_problem_has_the_same_retries_in_any_company_and_others_under_another_seed() -> None:
    batch = problems(64, seed=4)
    settings = RetrySettings(rate=0.5, seed=1)

    def told(drawn: Retries, row: int) -> list[tuple[int, int]]:
        return drawn.of(row)

    together, few = draw_retries(batch.records, settings), draw_retries(batch.records[40:44], settings)
    assert [told(together, 40 + row) for row in range(4)] == [told(few, row) for row in range(4)]
    other = draw_retries(batch.records, settings.model_copy(update={"seed": 2}))
    assert [told(together, row) for row in range(64)] != [told(other, row) for row in range(64)]
    assert not len(draw_retries(batch.records, RetrySettings()))
