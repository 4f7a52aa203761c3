"""Labels from the generator's record and from the parsed text, compared by name."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import numpy as np

from igsm_pipeline.problems import ProblemBatch
from igsm_pipeline.problems.problem import Parameter, Problem
from igsm_pipeline.queries.facts import NUM_CODES, Facts, analyse, parameter_of_code
from igsm_pipeline.queries.labels import exists, foundations, label_query, list_candidates
from igsm_pipeline.queries.settings import Candidates
from igsm_pipeline.queries.tasks import TaskName
from igsm_pipeline.text import parse_problem, read_solution, render_problem, render_question, render_solution
from tests.reference.random_problems import is_named

AT_EVERY_POSITION: tuple[TaskName, ...] = ("known", "value", "can_next", "nece_next")
SETS: tuple[Candidates, ...] = get_args(Candidates)


def compare_labels(batch: ProblemBatch) -> Counter[str]:
    """Counts problems, labels, candidates, and which of them differ; parameters of items that the text does not name are counted apart."""
    facts, counts = analyse(batch.records), Counter[str]()
    matrices = {name: facts.candidate_matrix(name) for name in SETS}
    for number, problem in enumerate(batch):
        parsed = parse_problem(render_problem(problem) + render_question(problem), batch.world, batch.modulus)
        parsed = read_solution(parsed, render_solution(problem))
        codes, names, unnamed = _named_codes(batch, facts, number, problem)
        counts["problems"] += 1
        counts["parameters of unnamed items"] += unnamed
        by_name = {parsed.name(one): one for one in list_candidates(parsed, "all")}
        counts["differ"] += by_name.keys() != set(names)
        for name in SETS:
            found = {parsed.name(one) for one in list_candidates(parsed, name)}
            counts["candidates"] += len(found)
            counts["differ"] += len(found ^ {one for one, code in zip(names, codes, strict=True) if matrices[name][number, code]})
        parameters = [by_name[name] for name in names if name in by_name]
        if len(parameters) == len(codes):
            _compare_problem(facts, batch.modulus, number, codes, parsed, parameters, counts)
    return counts


def _named_codes(batch: ProblemBatch, facts: Facts, number: int, problem: Problem) -> tuple[list[int], list[str], int]:
    """Codes and names of the record's parameters, pairs without an edge included, whose items the text names; and how many others there are."""
    every = np.flatnonzero(facts.candidate_matrix("all")[number]).tolist()
    parameters = [parameter_of_code(batch.records[number], code) for code in every]
    named = {(layer, item): is_named(problem, layer, item) for layer, items in enumerate(problem.items) for item in range(len(items))}
    kept = [(code, problem.name(one)) for code, one in zip(every, parameters, strict=True) if named[one.layer, one.item]]
    return [code for code, _ in kept], [name for _, name in kept], len(every) - len(kept)


def _compare_problem(
    facts: Facts, modulus: int, number: int, codes: list[int], parsed: Problem, parameters: list[Parameter], counts: Counter[str]
) -> None:
    def from_record(task: TaskName, position: int, first: np.ndarray, second: np.ndarray) -> list[int]:
        size = len(first)
        return facts.label(task, modulus, np.full(size, number), np.full(size, position), first, second).tolist()

    def compare(record: list[int], text: list[int]) -> None:
        counts["labels"] += len(text)
        counts["differ"] += sum(a != b for a, b in zip(record, text, strict=True))

    code = np.array(codes, np.uint8)
    compare(from_record("nece", 0, code, code), [label_query(parsed, "nece", 0, one) for one in parameters])
    for position in range(len(parsed.order) + 1):
        for task in AT_EVERY_POSITION:
            compare(from_record(task, position, code, code), [label_query(parsed, task, position, one) for one in parameters])
    below = [foundations(parsed, one) for one in parameters]
    compare(
        from_record("dep", 0, np.repeat(code, len(code)), np.tile(code, len(code))),
        [int(other in under) for under in below for other in parameters],
    )
    counts["pairs without an edge"] += sum(not exists(parsed, one) for one in parameters)


assert NUM_CODES <= 256
