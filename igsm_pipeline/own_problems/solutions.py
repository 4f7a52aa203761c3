"""The order and the symbols of a problem's solution: those that a row gives, or ones that are drawn.

Ours: a row without a solution gets what the law would give it: each next parameter uniform among those whose parents are defined, and symbols uniform
without replacement. Of a row with one, order and symbols are kept; sums are written in one order throughout a problem, which is the row's where
the row keeps to one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from igsm_pipeline.problems.encoding import reordered
from igsm_pipeline.problems.problem import ABSTRACT, INSTANCE, Parameter, Problem
from igsm_pipeline.problems.record import SYMBOLS
from igsm_pipeline.text import Sentence, parse_solution, read_solution


def with_drawn_solution(problem: Problem, num_symbols: int, draws: np.random.Generator) -> Problem:
    """The problem with a drawn order and drawn symbols.

    Args:
        problem: of at most ``num_symbols`` operations.
        num_symbols: symbols are drawn from the first so many letters.
        draws: of this problem alone.
    """
    waiting, order = set(problem.necessary), list[Parameter]()
    while waiting:
        ready = sorted(one for one in waiting if waiting.isdisjoint(problem.parents(one)))
        order.append(ready[int(draws.integers(len(ready)))])
        waiting.remove(order[-1])
    symbols = tuple(SYMBOLS[index] for index in draws.choice(num_symbols, problem.op, replace=False).tolist())
    return replace(problem, order=tuple(order), symbols=symbols)


def with_solution(problem: Problem, solution: str) -> Problem:
    """The problem with the order and symbols of a solution, and with its items in the order in which the solution's sums name them.

    Args:
        problem: from text.
        solution: a right solution of it that defines nothing unnecessary.

    Raises:
        BadSolution, BadProblem: see ``read_solution``.
    """
    sentences = parse_solution(solution)
    read = read_solution(problem, solution)
    said: list[list[list[int]]] = [[] for _ in problem.items]
    known: dict[str, Parameter] = {}
    for parameter, sentence in zip(read.order, sentences, strict=True):
        if parameter.kind == ABSTRACT:
            said[parameter.layer + 1].append(_summands(parameter, sentence, known))
        known[sentence.symbol] = parameter
    return reordered(read, [merged(len(names), lists) for names, lists in zip(problem.items, said, strict=True)])


def _summands(parameter: Parameter, sentence: Sentence, known: dict[str, Parameter]) -> list[int]:
    """The children of an abstract parameter's owner, in the order in which its sentence takes them up."""
    held: dict[str, list[int]] = {}
    found: list[int] = []
    for step in sentence.steps:
        found = []
        for operand in step.operands:
            if not isinstance(operand, str):
                continue
            if operand in held:
                found += held[operand]
            elif operand in known and known[operand].kind == INSTANCE and known[operand][1:3] == parameter[1:3]:
                found.append(known[operand].target)
        held[step.symbol] = found
    return found


def merged(number: int, lists: Iterable[Sequence[int]]) -> list[int]:
    """An order of 0 to ``number`` - 1 in which every list's members come as the list has them; 0, 1, 2, ... where the lists contradict each other."""
    after: dict[int, set[int]] = {index: set() for index in range(number)}
    for one in lists:
        for before, behind in pairwise(one):
            after[behind].add(before)
    order: list[int] = []
    while len(order) < number:
        ready = next((index for index in range(number) if index not in order and after[index] <= set(order)), None)
        if ready is None:
            return list(range(number))
        order.append(ready)
    return order
