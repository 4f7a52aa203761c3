"""The probe tasks, as one would explain them: labels and candidates from a ``Problem``, one at a time.

Slow and obvious on purpose; ``queries.facts`` computes the same from record arrays, and a test holds the two equal on every parameter.

Position t counts the solution's sentences that the model has seen: t = 0 is the end of the prompt text, t > 0 the "." of sentence t.
A pair of items of neighbouring layers without an edge is written ``Parameter(INSTANCE, layer, item, child)`` like a real instance parameter.
"""

from __future__ import annotations

from collections.abc import Callable

from igsm_pipeline.problems.problem import INSTANCE, Parameter, Problem
from igsm_pipeline.queries.settings import Candidates
from igsm_pipeline.queries.tasks import TaskName


def exists(problem: Problem, parameter: Parameter) -> bool:
    """Whether a parameter belongs to the problem (a pair of items without an edge does not)."""
    return parameter in problem.statements if parameter.kind == INSTANCE else parameter in problem.abstracts


def list_candidates(problem: Problem, candidates: Candidates) -> tuple[Parameter, ...]:
    """The parameters that may be asked about, sorted.

    ``graph``: those of G_d. ``existing``: all instance and all abstract parameters. ``text``: those that the problem text or the question names.
    ``all``: the existing ones and every pair of items of neighbouring layers without an edge.

    Source: ``graph`` is appendix E; ``all`` is what reproduces the paper's majority rows.
    """
    if candidates == "graph":
        return tuple(sorted(problem.graph))
    if candidates == "text":
        named = {parent for statement in problem.statements.values() for parent in statement.parents}
        return tuple(sorted(named | set(problem.statements) | {problem.query}))
    existing = {*problem.instances, *problem.abstracts}
    if candidates == "existing":
        return tuple(sorted(existing))
    pairs = {
        Parameter(INSTANCE, layer, item, child)
        for layer in range(len(problem.items) - 1)
        for item in range(len(problem.items[layer]))
        for child in range(len(problem.items[layer + 1]))
    }
    return tuple(sorted(existing | pairs))


def label_query(problem: Problem, task: TaskName, position: int, parameter: Parameter, other: Parameter | None = None) -> int:
    """The true answer to one query.

    nece(A): A is necessary. dep(A, B): A rests on B, directly or not. known(A): A is among the first ``position`` defined. value(A): its value if
    known, else M. can_next(A): A is not known and all its parents are. nece_next: can_next and nece. A pair without an edge is never necessary and
    has no parents, so its can_next is 1.

    Args:
        problem: must have a solution order.
        task: one of ``TASKS``.
        position: solution sentences seen, 0 to ``len(problem.order)``.
        parameter: A.
        other: B, for tasks that ask about a pair (dep).

    Returns:
        0 or 1; for value 0..M.

    Example:
        >>> from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate_block
        >>> from igsm_pipeline.world import load_world
        >>> settings = ProblemSetSettings(family=family_by_name("med"), num_problems=3, block_size=3)
        >>> batch = generate_block(settings, load_world("igsm"), 0)
        >>> label_query(batch[0], "nece", 0, batch[0].query), label_query(batch[0], "known", 0, batch[0].query)
        (1, 0)
    """
    return int(_ANSWERS[task](problem, frozenset(problem.order[:position]), parameter, other))


def _can_next(problem: Problem, known: frozenset[Parameter], parameter: Parameter, _: Parameter | None) -> bool:
    parents = problem.parents(parameter) if exists(problem, parameter) else ()
    return parameter not in known and known.issuperset(parents)


_ANSWERS: dict[TaskName, Callable[[Problem, frozenset[Parameter], Parameter, Parameter | None], int]] = {
    "nece": lambda problem, known, parameter, other: parameter in problem.necessary,
    "dep": lambda problem, known, parameter, other: other in foundations(problem, parameter),
    "known": lambda problem, known, parameter, other: parameter in known,
    "value": lambda problem, known, parameter, other: problem.values[parameter] if parameter in known else problem.modulus,
    "can_next": _can_next,
    "nece_next": lambda problem, known, parameter, other: _can_next(problem, known, parameter, other) and parameter in problem.necessary,
}
"""The true answer of each task about A and B, given what the solution has computed."""


def foundations(problem: Problem, parameter: Parameter) -> set[Parameter]:
    """All that a parameter rests on, directly or not; itself is no part."""
    found: set[Parameter] = set()

    def visit(one: Parameter) -> None:
        for parent in problem.parents(one) if exists(problem, one) else ():
            if parent not in found:
                found.add(parent)
                visit(parent)

    visit(parameter)
    return found
