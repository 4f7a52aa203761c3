"""Drills: solutions without a problem, in which nothing but the symbols tells the values. Their windows stand among those of problems.

A drill defines as many parameters as the longest problems have operations: first two or more constants, then sums of two earlier parameters in
any order, " Define A's B as x; so x = f + j = 3 + 1 = 4.". The names say nothing of the values; the answer is the last value.

Ours: the paper has none. Without them a small model finds the values of a sum through the problem and never learns to look its symbols up: where
the problem does not tell the order of two summands, it writes their values in either (LOG.md, "which summand it wrote first").
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.tokens import fragments as F  # noqa: N812 (a namespace of fragment numbers)
from igsm_pipeline.tokens.emission import Emitted
from igsm_pipeline.tokens.settings import LEAST_CONSTANTS
from igsm_pipeline.tokens.table import TokenTable
from igsm_pipeline.world import World

_Parts = tuple[int | NDArray[np.int64], ...]
_SUM = 18
"""Fragments of a sentence that defines a sum; of one that defines a constant eight are missing."""


def draw_drills(count: int, table: TokenTable, world: World, family: FamilySettings, draw: np.random.Generator) -> Emitted:
    """Draw drills.

    Args:
        count: how many.
        table: the ids, of the world and the family's modulus.
        world: the names.
        family: its op_max, at least 3, is the number of sentences of a drill; its num_symbols are the symbols to draw from.
        draw: gives the randomness.

    Returns:
        The documents. Where a problem would stand there is nothing: ``prompt_ends`` and ``problem_ends`` are 0, the position of [222].
    """
    named = names(table.fragments, world)
    length, layout = min(family.op_max, len(named)), table.fragments
    chosen = named[np.stack([draw.choice(len(named), length, replace=False) for _ in range(count)])]
    symbols = np.argsort(draw.random((count, family.num_symbols)), axis=1)[:, :length] + layout.symbol_base
    constants = draw.integers(LEAST_CONSTANTS, max(LEAST_CONSTANTS, length - 1) + 1, count)
    values = draw.integers(0, table.modulus, (count, length))
    sentences = np.full((count, length, _SUM), -1, np.int64)
    rows = np.arange(count)
    for step in range(length):
        sums = rows[step >= constants]
        first = draw.integers(0, max(1, step), count)[sums]
        second = draw.integers(0, max(1, step - 1), count)[sums]
        second += second >= first
        values[sums, step] = (values[sums, first] + values[sums, second]) % table.modulus
        own, one, other = symbols[:, step], symbols[sums, first], symbols[sums, second]
        begin: _Parts = (F.DEFINE, chosen[:, step, 0], chosen[:, step, 1], F.AS, own, F.SO, own, F.IS)
        middle: _Parts = (one, F.PLUS, other, F.IS, layout.number_base + values[sums, first], F.PLUS, layout.number_base + values[sums, second], F.IS)
        for place, part in enumerate(begin):
            sentences[:, step, place] = part
        for place, part in enumerate(middle, len(begin)):
            sentences[sums, step, place] = part
        sentences[:, step, -2], sentences[:, step, -1] = layout.number_base + values[:, step], F.DOT
    ends = np.broadcast_to((F.ANSWER, 0, F.END), (count, 3)).copy()
    ends[:, 1] = layout.number_base + values[:, -1]
    begins = np.broadcast_to((F.BEGIN, F.SOLUTION), (count, 2))
    return _as_documents(np.concatenate((begins, sentences.reshape(count, -1), ends), axis=1), length, table)


def longest_drill(table: TokenTable, world: World, family: FamilySettings) -> int:
    """Tokens that no drill of ``draw_drills`` exceeds; with phrases some drills have as many."""
    sizes, layout, length = np.diff(table.starts), table.fragments, family.op_max

    def of(*numbers: int) -> int:
        return int(sizes[list(numbers)].sum())

    name = int(sizes[names(layout, world)].sum(1).max())
    number = int(sizes[layout.number_base : layout.number_base + table.modulus].max())
    symbol = int(sizes[layout.symbol_base : layout.symbol_base + family.num_symbols].max())
    around = of(F.BEGIN, F.SOLUTION, F.ANSWER, F.END) + number
    sentence = of(F.DEFINE, F.AS, F.SO, F.IS, F.DOT) + name + 2 * symbol + number
    of_sum = of(F.PLUS, F.IS, F.PLUS, F.IS) + 2 * symbol + 2 * number
    return around + length * sentence + (length - LEAST_CONSTANTS) * of_sum


def names(fragments: F.Fragments, world: World) -> NDArray[np.int64]:
    """Every name of an instance parameter of a world, as the numbers of its two fragments, "A's" and "B". Shape (names, 2)."""
    found, first = [], 0
    for hierarchy in world.hierarchies:
        sizes = [sum(len(part.items) for part in layer.subcategories) for layer in hierarchy.layers]
        items = np.split(np.arange(first, first + sum(sizes)), np.cumsum(sizes)[:-1])
        first += sum(sizes)
        for owners, things in pairwise(items):
            pairs = np.meshgrid(owners + fragments.owner_base, things + fragments.thing_base, indexing="ij")
            found.append(np.stack(pairs, axis=-1).reshape(-1, 2))
    return np.concatenate(found)


def _as_documents(numbers: NDArray[np.int64], length: int, table: TokenTable) -> Emitted:
    """Rows of fragment numbers, -1 where there is none, as documents of ``length`` sentences each."""
    there = numbers >= 0
    flat, sizes = numbers[there], np.diff(table.starts)
    ends = np.cumsum(sizes[flat])
    ids = table.pieces[np.repeat(table.starts[flat] - ends + sizes[flat], sizes[flat]) + np.arange(ends[-1])]
    offsets = np.concatenate(([0], ends[np.cumsum(there.sum(1)) - 1]))
    dots = ends[flat == F.DOT] - 1 - np.repeat(offsets[:-1], length)
    nothing = np.zeros(len(numbers), np.int32)
    return Emitted(ids, offsets, nothing, nothing, dots.astype(np.int32), np.arange(len(numbers) + 1, dtype=np.int64) * length, table.eos)
