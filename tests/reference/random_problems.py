"""Problems that no generator of the package made: built directly, at random, of every shape the record allows."""

from __future__ import annotations

import random
import string

from hypothesis import strategies as st

from igsm_pipeline.problems.problem import ABSTRACT, INSTANCE, MORE, TIMES, Expression, Parameter, Problem
from igsm_pipeline.world import Hierarchy, Layer, Subcategory, World


def make_world(hierarchies: list[dict[str, list[list[str]]]], *, lenient: bool = False) -> World:
    """A world from one {category: lists of items} per hierarchy."""
    return World(
        tuple(
            Hierarchy(
                tuple(
                    Layer(category, tuple(Subcategory(f"{category} {n}", tuple(items)) for n, items in enumerate(groups)))
                    for category, groups in one.items()
                )
            )
            for one in hierarchies
        ),
        content_hash=repr(hierarchies),
        lenient=lenient,
    )


PLAIN = make_world(
    [
        {
            "Harbour": [["North Quay", "Salt Pier", "Old Basin", "Tide Dock", "Long Mole"], ["Ferry Point", "Cod Landing", "Mud Reach", "Buoy Yard"]],
            "Vessel": [["Trawler", "Sloop", "Tug", "Barge"], ["Ketch", "Dinghy", "Punt", "Cutter"]],
            "Hold": [["Fore Locker", "Aft Bin", "Ice Room", "Rope Store"]],
            "Cargo": [["Herring Crate", "Oil Drum", "Tin Ingot", "Wool Bale", "Tea Chest"]],
        },
        {
            "Town": [["Ashby", "Brill", "Corfe", "Diss"]],
            "Street": [["High Row", "Mill Lane", "Church Walk", "Back Alley"]],
            "House": [["Brick Villa", "Stone Cottage", "Wood Cabin", "Row House"]],
            "Room": [["Attic", "Cellar", "Pantry", "Study"]],
        },
    ]
)

LENIENT = make_world(
    [
        {
            "District": [["Governor's District", "Track and Field", "Fish and Game and Parks", "King's Cross"]],
            "Supermarket": [["Sam's Club", "Trader Joe's", "99 Ranch Market", "Shop 'n Save", "Marc's"]],
            "Product": [["Popcorn", "Mac and Cheese", "Bird's Eye", "Milk"], ["Milk", "Salt and Vinegar", "Baker's Dozen", "Food 4 Less"]],
            "Ingredient": [["Popcorn", "Salt does Equal", "Corn equals Maize", "Farmer's Sugar", "Oil more than Water"]],
        }
    ],
    lenient=True,
)


def random_problem(rng: random.Random, world: World = PLAIN, modulus: int = 23, *, max_width: int = 4, max_instances: int = 40) -> Problem:
    """A problem with an order and symbols; statements acyclic, at most 52 operations."""
    while True:
        problem = _random_problem(rng, world, modulus, max_width)
        if problem.op <= 52 and len(problem.statements) <= max_instances:
            return problem


def problems(world: World = PLAIN, modulus: int = 23) -> st.SearchStrategy[Problem]:
    """Hypothesis strategy of ``random_problem``; the seed is what it shrinks and prints."""
    return st.integers(0, 2**32 - 1).map(lambda seed: random_problem(random.Random(seed), world, modulus))


def _random_problem(rng: random.Random, world: World, modulus: int, max_width: int) -> Problem:
    hierarchy = rng.choice(world.hierarchies)
    num_layers = rng.randint(2, 4)
    first = rng.randint(0, 4 - num_layers)
    layers = hierarchy.layers[first : first + num_layers]
    items = tuple(tuple(rng.sample(rng.choice(layer.subcategories).items, rng.randint(1, max_width))) for layer in layers)
    density = rng.random() ** 2
    edges = set()
    for i in range(num_layers - 1):
        for k in range(len(items[i + 1])):
            edges.add(Parameter(INSTANCE, i, rng.randrange(len(items[i])), k))
        edges |= {Parameter(INSTANCE, i, j, k) for j in range(len(items[i])) for k in range(len(items[i + 1])) if rng.random() < density}
    shape = Problem(modulus, tuple(layer.category for layer in layers), items, {edge: Expression((), 0) for edge in edges}, next(iter(edges)))
    statements = _random_statements(rng, shape)
    shuffled = dict(rng.sample(list(statements.items()), len(statements)))
    query = rng.choice(sorted(edges) + [one for one in shape.abstracts if rng.random() < 0.5])
    bare = Problem(modulus, shape.categories, items, shuffled, query)
    order = random_order(rng, bare)
    symbols = tuple(rng.sample(string.ascii_letters, min(52, bare.op)))
    return Problem(modulus, shape.categories, items, shuffled, query, order, symbols)


def _random_statements(rng: random.Random, shape: Problem) -> dict[Parameter, Expression]:
    placed: list[Parameter] = []
    statements: dict[Parameter, Expression] = {}
    waiting = list(shape.abstracts)
    for edge in rng.sample(list(shape.instances), len(shape.instances)):
        grown = True
        while grown:
            ready = [one for one in waiting if set(shape.parents(one)) <= set(placed)]
            grown = bool(ready)
            placed += ready
            waiting = [one for one in waiting if one not in ready]
        parents = tuple(rng.sample(placed, min(len(placed), rng.choice([0, 1, 1, 2, 2, 3, 4]))))
        constant = rng.randrange(shape.modulus) if not parents or (len(parents) < 4 and rng.random() < 0.5) else None
        form = None if constant is None or not parents else rng.choice([MORE, TIMES])
        if form == TIMES:
            constant = rng.randrange(1, shape.modulus)
        statements[edge] = Expression(parents, constant, form, len(parents) == 2 and rng.random() < 0.5)
        placed.append(edge)
    return statements


def random_order(rng: random.Random, problem: Problem, extra: frozenset[Parameter] = frozenset()) -> tuple[Parameter, ...]:
    """A uniform-step topological order of the necessary parameters and ``extra`` ones, the query last.

    ``extra`` must be closed under parents (with the necessary ones) and hold nothing that needs the query.
    """
    left = (set(problem.necessary) | extra) - {problem.query}
    done: list[Parameter] = []
    while left:
        ready = sorted(one for one in left if not left & set(problem.parents(one)))
        done.append(rng.choice(ready))
        left.remove(done[-1])
    return (*done, problem.query)


def closure(problem: Problem, wanted: list[Parameter]) -> frozenset[Parameter]:
    """Parameters and all that they rest on."""
    found: set[Parameter] = set()
    stack = list(wanted)
    while stack:
        one = stack.pop()
        if one not in found:
            found.add(one)
            stack.extend(problem.parents(one))
    return frozenset(found)


def is_named(problem: Problem, layer: int, item: int) -> bool:
    """Whether the problem's text names an item."""
    mentioned = {problem.query} | set(problem.statements) | {parent for one in problem.statements.values() for parent in one.parents}
    return any((one.layer, one.item) == (layer, item) or (one.kind == INSTANCE and (one.layer + 1, one.target) == (layer, item)) for one in mentioned)


def by_name(problem: Problem) -> dict[str, tuple[object, ...]]:
    """Every parameter whose item the text names, by name: its parents' names, value, necessity. For comparing graphs."""
    return {
        problem.name(one): (
            tuple(problem.name(parent) for parent in problem.parents(one))
            if one.kind != ABSTRACT
            else frozenset(map(problem.name, problem.parents(one))),
            problem.values[one],
            one in problem.necessary,
            one in problem.graph,
        )
        for one in (*problem.instances, *problem.abstracts)
        if is_named(problem, one.layer, one.item)
    }
