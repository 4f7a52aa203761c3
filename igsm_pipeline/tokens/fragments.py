"""The closed language as a list of fragments: every document is a concatenation of these and of nothing else.

Fragments are numbered: the fixed ones (specials, phrases) first, then numbers 0..M-1, the 52 symbols, the categories by (hierarchy, layer), the
owners " {item}'s" and the things " {item}" by (hierarchy, layer, sub-category, item). A segmentation gives each fragment its token ids; the
emitting kernels know the numbering only.

Source: the wording is that of the paper's released generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.problems.record import SYMBOLS
from igsm_pipeline.world import World

# Fixed fragments. The specials come first; their texts are the names that tokenizers show.
BEGIN, SOLUTION, ANSWER, PROBE_START, PROBE_MID, PROBE_END, END = range(7)
STATEMENT, EQUALS, COMMA_EACH, AND_EACH, DOT, HOW_MANY, DOES, HAVE, DEFINE, AS, STEP, SO, IS, PLUS, MINUS, TIMES = range(7, 23)
# Three openings of an expression, each directly followed by its forms for one operand, a sum, a difference.
EQUALS_EACH, MORE_EACH, TIMES_EACH = 23, 26, 29
OF_SUM, OF_DIFFERENCE = 1, 2
NUM_FIXED = 32

SPECIALS = ("<|problem|>", "<|solution|>", "<|answer|>", "<|probe_start|>", "<|probe_mid|>", "<|probe_end|>", "<|endoftext|>")
"""Names of the special tokens, in the order of their GPT-2 ids."""
SPECIAL_GPT2_IDS = (222, 223, 224, 225, 226, 227, 50256)
NUM_SPECIALS = len(SPECIALS)
BACK_GPT2_ID = 228
"""Id of the token that takes a parameter back (``text.retries``), in vocabularies that have one. Ours: the next after the specials'."""

_OPENINGS = (" equals", " more than", " times as much as")
PHRASES = (
    *(" The number of each", " equals", ", each", " and each", ".", " How many", " does", " have?"),
    *(" Define", " as", ";", "; so", " =", " +", " -", " *"),
    *(opening + rest for opening in _OPENINGS for rest in (" each", " the sum of each", " the difference of each")),
)
"""Texts of the fixed fragments after the specials."""


@dataclass(frozen=True)
class Fragments:
    """Every fragment of a world and modulus.

    Attributes:
        texts: text of each fragment, by number; empty where no document has it (bottom items own nothing, top categories are nowhere counted).
        number_base: number of fragment " 0"; the modulus follow in order.
        symbol_base: number of fragment " a".
        category_base: category of (hierarchy h, layer l) is ``category_base + 4 * h + l``.
        owner_base: owner of item x is ``owner_base + x``.
        thing_base: thing of item x is ``thing_base + x``.
        item_starts: x of the first item of each sub-category, shape (hierarchies, layers, most sub-categories).
    """

    texts: tuple[str, ...]
    number_base: int
    symbol_base: int
    category_base: int
    owner_base: int
    thing_base: int
    item_starts: NDArray[np.int32]

    @property
    def layout(self) -> NDArray[np.int32]:
        """The five bases as the kernels take them. Shape (5,)."""
        return np.array([self.number_base, self.symbol_base, self.category_base, self.owner_base, self.thing_base], np.int32)


def list_fragments(world: World, modulus: int) -> Fragments:
    """All fragments of the closed language of a world and modulus."""
    layers = [(h, i, layer) for h, hierarchy in enumerate(world.hierarchies) for i, layer in enumerate(hierarchy.layers)]
    num_layers = max(i for _, i, _ in layers) + 1
    most = max(len(layer.subcategories) for _, _, layer in layers)
    starts = np.zeros((len(world.hierarchies), num_layers, most), np.int32)
    things: list[str] = []
    owners: list[str] = []
    categories = [""] * (4 * len(world.hierarchies))
    for h, i, layer in layers:
        categories[4 * h + i] = f" {layer.category}" if i else ""
        for s, subcategory in enumerate(layer.subcategories):
            starts[h, i, s] = len(things)
            things += [f" {item}" for item in subcategory.items]
            owners += [f" {item}'s" if i + 1 < len(world.hierarchies[h].layers) else "" for item in subcategory.items]
    number_base = NUM_FIXED
    symbol_base = number_base + modulus
    category_base = symbol_base + len(SYMBOLS)
    owner_base = category_base + len(categories)
    texts = (
        *SPECIALS,
        *PHRASES,
        *(f" {number}" for number in range(modulus)),
        *(f" {symbol}" for symbol in SYMBOLS),
        *categories,
        *owners,
        *things,
    )
    return Fragments(texts, number_base, symbol_base, category_base, owner_base, owner_base + len(owners), starts)
