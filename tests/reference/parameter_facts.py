"""Facts about one parameter of one problem, slow and obvious: its code, and what ``queries.facts`` says of it."""

from __future__ import annotations

import numpy as np

from igsm_pipeline.problems.anatomy import MAX_WIDTH
from igsm_pipeline.problems.problem import ABSTRACT, Parameter, Problem
from igsm_pipeline.problems.record import id_of
from igsm_pipeline.queries.facts import NO_EDGE
from igsm_pipeline.queries.labels import exists


def code_of(row: np.void, parameter: Parameter) -> int:
    """The code of a parameter in one record row; inverse of ``queries.facts.parameter_of_code``."""
    kind, layer, item, target = parameter
    if kind == ABSTRACT or row["children"][layer, item] >> target & 1:
        return id_of(row, parameter)
    return NO_EDGE + layer * MAX_WIDTH * MAX_WIDTH + item * MAX_WIDTH + target


def distance_to_query(problem: Problem, parameter: Parameter) -> int | None:
    """Edges on the shortest dependency path from the query down to a necessary parameter (0 for the query itself); None for any other."""
    layer, seen, distance = {problem.query}, {problem.query}, 0
    while layer:
        if parameter in layer:
            return distance
        layer = {parent for one in layer for parent in problem.parents(one)} - seen
        seen |= layer
        distance += 1
    return None


def dependency_depth(problem: Problem, parameter: Parameter) -> int:
    """Edges on the longest dependency path that starts at a parameter (0: it rests on no other)."""
    parents = problem.parents(parameter) if exists(problem, parameter) else ()
    return max((dependency_depth(problem, one) + 1 for one in parents), default=0)
