"""Records drawn by no law in particular: every shape and form that a record can hold, for tests of what reads records."""

from __future__ import annotations

import numpy as np

from igsm_pipeline.problems.anatomy import MAX_INSTANCES, MAX_PARENTS, NOTHING, RNG_ID
from igsm_pipeline.problems.problem import ABSTRACT, INSTANCE, Parameter
from igsm_pipeline.problems.record import (
    FORM_DIFFERENCE,
    FORM_MORE,
    FORM_TIMES,
    MAX_SYMBOLS,
    RECORD,
    ProblemBatch,
    id_of,
    instance_parameters,
    to_problem,
)
from igsm_pipeline.world import World


def draw_batch(world: World, modulus: int, num_problems: int, seed: int) -> ProblemBatch:
    """Valid records with up to 52 operations and up to 39 instance parameters."""
    rng = np.random.default_rng(seed)
    rows = []
    while len(rows) < num_problems:
        row = _draw(world, modulus, rng)
        if row is not None:
            rows.append(row)
    return ProblemBatch(np.concatenate(rows), world, modulus)


def _draw(world: World, modulus: int, rng: np.random.Generator) -> np.ndarray | None:
    array = np.zeros(1, RECORD)
    row = array[0]
    for name in ("parents", "order", "statement_order", "symbols"):
        row[name] = NOTHING
    _draw_structure(row, world, rng)
    instances = instance_parameters(row)
    if len(instances) > MAX_INSTANCES:
        return None
    row["statement_order"][: len(instances)] = rng.permutation(len(instances))
    _draw_parents(row, instances, modulus, rng)
    abstract = [
        Parameter(ABSTRACT, i, j, c) for i in range(3) for j in range(row["widths"][i]) for c in range(i + 1, np.count_nonzero(row["widths"]))
    ]
    query = rng.choice([id_of(row, parameter) for parameter in instances + abstract])
    row["order"][0], row["num_necessary"], row["op"] = query, 1, 0
    problem = to_problem(row, world, modulus)
    if problem.op > MAX_SYMBOLS:
        return None
    order: list[Parameter] = []
    waiting = set(problem.necessary)
    while waiting:
        ready = sorted(p for p in waiting if not set(problem.parents(p)) & waiting)
        order.append(ready[rng.integers(len(ready))])
        waiting.remove(order[-1])
    row["op"], row["num_necessary"] = problem.op, len(order)
    row["order"][: len(order)] = [id_of(row, parameter) for parameter in order]
    row["symbols"][: problem.op] = rng.permutation(MAX_SYMBOLS)[: problem.op]
    row["graph"] = sum(1 << id_of(row, parameter) for parameter in problem.graph)
    for parameter, value in problem.values.items():
        row["values"][id_of(row, parameter)] = value
    return array


def _draw_structure(row: np.void, world: World, rng: np.random.Generator) -> None:
    row["hierarchy"] = rng.integers(len(world.hierarchies))
    layers = world.hierarchies[row["hierarchy"]].layers
    depth = int(rng.integers(2, len(layers) + 1))
    row["first_layer"] = rng.integers(len(layers) - depth + 1)
    density = rng.random()
    for i in range(depth):
        subcategories = layers[row["first_layer"] + i].subcategories
        row["subcategory"][i] = rng.integers(len(subcategories))
        names = len(subcategories[row["subcategory"][i]].items)
        row["widths"][i] = rng.integers(1, min(4, names) + 1)
        row["items"][i, : row["widths"][i]] = rng.permutation(names)[: row["widths"][i]]
    for i in range(depth - 1):
        for k in range(row["widths"][i + 1]):
            row["children"][i, rng.integers(row["widths"][i])] |= 1 << k
            for j in range(row["widths"][i]):
                if rng.random() < density:
                    row["children"][i, j] |= 1 << k


def _draw_parents(row: np.void, instances: list[Parameter], modulus: int, rng: np.random.Generator) -> None:
    depth = int(np.count_nonzero(row["widths"]))
    abstract = [Parameter(ABSTRACT, i, j, c) for i in range(depth - 1) for j in range(row["widths"][i]) for c in range(i + 1, depth)]
    placed: set[Parameter] = set()
    most = int(rng.integers(1, MAX_PARENTS + 1))
    for number in rng.permutation(len(instances)).tolist():
        pool = [id_of(row, p) for p in sorted(placed)] + [id_of(row, p) for p in abstract if _ingredients(row, p, instances) <= placed] + [RNG_ID]
        parents = rng.permutation(pool)[: rng.integers(1, most + 1)]
        row["parents"][number, : len(parents)] = parents
        operands = len(parents) - int(RNG_ID in parents)
        form = 0
        if RNG_ID in parents:
            if operands:
                form |= FORM_TIMES if rng.random() < 0.5 else FORM_MORE
            row["constant"][number] = rng.integers(1 if form & FORM_TIMES else 0, modulus)
        if operands == 2 and rng.random() < 0.5:
            form |= FORM_DIFFERENCE
        row["form"][number] = form
        placed.add(instances[number])


def _ingredients(row: np.void, abstract: Parameter, instances: list[Parameter]) -> set[Parameter]:
    found = set()
    for parameter in instances:
        if parameter.kind == INSTANCE and (parameter.layer, parameter.item) == (abstract.layer, abstract.item):
            found.add(parameter)
            if abstract.target > abstract.layer + 1:
                found |= _ingredients(row, Parameter(ABSTRACT, parameter.layer + 1, parameter.target, abstract.target), instances)
    return found
