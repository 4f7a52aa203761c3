"""Whole problems and blocks, slow and obvious: what a proposal leaves open, the split hash, slots, reask (docs/law.md)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from reference import plain_text
from reference.naive import RNG, Proposal, draw_unnecessary, propose
from reference.naive_draws import Draws, mix64

from igsm_pipeline.problems.problem import ABSTRACT, INSTANCE, MORE, TIMES, Expression, Parameter, Problem
from igsm_pipeline.problems.settings import FamilySettings, ProblemSetSettings
from igsm_pipeline.seeding import kernel_key
from igsm_pipeline.world import World

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
TRAIN, TEST = range(16), range(17, 23)


@dataclass(frozen=True)
class NaiveProblem:
    """A problem of a block, with what the record says of it beside the problem itself."""

    problem: Problem
    graph: frozenset[Parameter]
    place: tuple[int, int, tuple[int, ...], tuple[tuple[int, ...], ...]]  # hierarchy, first layer, sub-categories, items
    draw: int
    template_bin: int
    split_bin: int


# --- section 4: what the graph leaves open ---


def finish(draws: Draws, proposal: Proposal, world: World, modulus: int, draw: int, split_by: str, num_symbols: int = 52) -> NaiveProblem:
    """Constants and forms, names, the order of statements, symbols."""
    instances = sorted(proposal.structure.instances)
    expressions = {a: _draw_expression(draws, proposal.parents[a], modulus) for a in instances}
    widths = proposal.structure.widths
    h = draws.below(len(world.hierarchies))
    first = draws.below(4 - len(widths) + 1)
    layers = world.hierarchies[h].layers[first : first + len(widths)]
    subcategories, items = [], []
    for layer, width in zip(layers, widths, strict=True):
        subcategories.append(draws.below(len(layer.subcategories)))
        chosen: list[int] = []
        while len(chosen) < width:
            item = draws.below(len(layer.subcategories[subcategories[-1]].items))
            if item not in chosen:
                chosen.append(item)
        items.append(tuple(chosen))
    text_order = list(instances)
    for index in range(len(text_order) - 1, 0, -1):
        other = draws.below(index + 1)
        text_order[index], text_order[other] = text_order[other], text_order[index]
    names = tuple(tuple(layer.subcategories[sub].items[item] for item in some) for layer, sub, some in zip(layers, subcategories, items, strict=True))
    problem = Problem(
        modulus,
        tuple(layer.category for layer in layers),
        names,
        {a: expressions[a] for a in text_order},
        proposal.order[-1],
        tuple(proposal.order),
        draw_symbols(draws, proposal.op, num_symbols),
    )
    place = (h, first, tuple(subcategories), tuple(items))
    template_bin = hash_bin(template(problem).encode())
    split_bin = template_bin if split_by == "template" else hash_bin(problem_bytes(problem, world, h, first))
    return NaiveProblem(problem, frozenset(proposal.graph), place, draw, template_bin, split_bin)


def _draw_expression(draws: Draws, parents: list[Parameter], modulus: int) -> Expression:
    others = tuple(parent for parent in parents if parent != RNG)
    constant, form = None, None
    if RNG in parents and not others:
        constant = draws.below(modulus)
    elif RNG in parents:
        form = MORE if draws.coin() else TIMES
        constant = draws.below(modulus) if form == MORE else 1 + draws.below(modulus - 1)
    return Expression(others, constant, form, difference=len(others) == 2 and draws.coin())


def draw_symbols(draws: Draws, op: int, num_symbols: int) -> tuple[str, ...]:
    """Distinct letters, drawn again on a repeat."""
    symbols: list[str] = []
    while len(symbols) < op:
        letter = LETTERS[draws.below(num_symbols)]
        if letter not in symbols:
            symbols.append(letter)
    return tuple(symbols)


# --- section 5: hashes ---


def hash_bin(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest(), "big") % 23


def template(problem: Problem) -> str:
    """The solution's text with names, numbers and symbols replaced."""
    sentences = plain_text.solution(problem)[1:-1].split(". ")
    known: list[str] = []

    def canonical(match: re.Match[str]) -> str:
        if match[0] not in known:
            known.append(match[0])
        return LETTERS[known.index(match[0])]

    rewritten = []
    for parameter, sentence in zip(problem.order, sentences, strict=True):
        prefix = f"Define {problem.name(parameter)} as "
        assert sentence.startswith(prefix)
        rest = re.sub(r"\d+", "0", sentence.removeprefix(prefix))
        rest = re.sub(r"\b[a-zA-Z]\b", canonical, rest).replace("; ", ". ")
        rewritten.append(f"Define {'Inst' if parameter.kind == INSTANCE else 'Inter'} as {rest}")
    return " " + ". ".join(rewritten) + "."


def problem_bytes(problem: Problem, world: World, hierarchy: int, first_layer: int) -> bytes:
    """What the split by problem is taken of: a 64-bit code per statement, sorted, then one of the question (see ``complete.problem_codes``)."""
    codes: dict[str, int] = {}
    for _, name in world.items():
        codes.setdefault(name, len(codes))

    def code(parameter: Parameter) -> int:
        owner = codes[problem.items[parameter.layer][parameter.item]] * 4096
        if parameter.kind == ABSTRACT:
            return 2 * (owner + first_layer + parameter.target) + 1
        return 2 * (owner + codes[problem.items[parameter.layer + 1][parameter.target]])

    statements = []
    for parameter, expression in problem.statements.items():
        word = mix64(code(parameter))
        for parent in expression.parents:
            word = mix64(word ^ (code(parent) + 1))
        form = {None: 0, MORE: 1, TIMES: 2}[expression.form] + 4 * expression.difference
        constant = 0 if expression.constant is None else expression.constant * 2 + 1
        statements.append(mix64(word + constant * 8 + form))
    words = [*sorted(statements), mix64(code(problem.query) ^ hierarchy)]
    return b"".join(word.to_bytes(8, "little") for word in words)


# --- blocks ---


def naive_block(settings: ProblemSetSettings, world: World, block: int) -> list[NaiveProblem]:
    """Block number ``block``: op levels of the slots first, then proposals 0, 1, 2, ... into the first open slot of their op."""
    family = settings.family
    key = [int(word) for word in kernel_key(settings.seed, settings.stream, block)]
    targets = _draw_targets(settings, key)
    slots: list[NaiveProblem | None] = [None] * len(targets)
    draw = -1
    while None in slots:
        draw += 1
        draws = Draws(key, draw)
        s = settings.op or _draw_op(draws, family)
        proposal = propose(draws, s, family.ip_max)
        if proposal is None or proposal.op > family.num_symbols:
            continue
        open_slots = [slot for slot, target in enumerate(targets) if target == proposal.op and slots[slot] is None]
        if not open_slots:
            continue
        draw_unnecessary(draws, proposal)
        made = finish(draws, proposal, world, family.modulus, draw, family.split_by, family.num_symbols)
        if settings.split == "all" or made.split_bin in (TRAIN if settings.split == "train" else TEST):
            slots[open_slots[0]] = made
    finished = [made for made in slots if made is not None]
    if not settings.reask:
        return finished
    return [reask(Draws(key, (1 << 33) + slot), made, family.num_symbols) for slot, made in enumerate(finished)]


def _draw_op(draws: Draws, family: FamilySettings) -> int:
    one = 1 + draws.below(family.op_max)
    return one if family.op_law == "uniform" else min(one, 1 + draws.below(family.op_max))


def _draw_targets(settings: ProblemSetSettings, key: list[int]) -> list[int]:
    if settings.law == "exact":
        assert settings.op is not None
        return [settings.op] * settings.block_size
    if settings.balanced:
        return [1 + slot % settings.family.op_max for slot in range(settings.block_size)]
    draws = Draws(key, 2**32 - 1)
    return [_draw_op(draws, settings.family) for _ in range(settings.block_size)]


def reask(draws: Draws, made: NaiveProblem, num_symbols: int = 52) -> NaiveProblem:
    """Another query of G_d, a fresh order (uniform among the ready at each step), fresh symbols."""
    old = made.problem
    others = sorted(made.graph - {old.query})
    while others:
        query = draws.choice(others)
        others.remove(query)
        necessary = Problem(old.modulus, old.categories, old.items, old.statements, query).necessary
        op = sum(old.parameter_op(a) for a in necessary)
        if op <= num_symbols:
            break
    else:
        return made
    order: list[Parameter] = []
    while len(order) < len(necessary):
        order.append(draws.choice(sorted(a for a in necessary - set(order) if set(old.parents(a)) <= set(order))))
    problem = Problem(old.modulus, old.categories, old.items, old.statements, query, tuple(order), draw_symbols(draws, op, num_symbols))
    graph = set(made.graph)
    while unused := {a for a in graph if a.kind == ABSTRACT and a not in necessary and not any(a in old.parents(b) for b in graph)}:
        graph -= unused
    return NaiveProblem(problem, frozenset(graph), made.place, made.draw, hash_bin(template(problem).encode()), made.split_bin)
