"""The token table of a world: token ids of every fragment, and the way back from ids to text.

Source: documents are [222] problem and question [223] solution [224] answer [50256] in GPT-2's ids. Ours: the same specials under compact ids, and
the phrase segmentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from igsm_pipeline.errors import BadInput
from igsm_pipeline.tokens.fragments import (
    ANSWER,
    BEGIN,
    END,
    NUM_SPECIALS,
    PROBE_END,
    PROBE_MID,
    PROBE_START,
    SOLUTION,
    Fragments,
    list_fragments,
)
from igsm_pipeline.tokens.settings import TokenSettings
from igsm_pipeline.world import World

Ids = NDArray[np.uint32]


@dataclass(frozen=True)
class TokenTable:
    """Token ids of every fragment of one world, modulus and segmentation.

    Attributes:
        settings: segmentation and vocabulary.
        modulus: M.
        world_hash: content hash of the world.
        fragments: the closed language.
        tokens: text of every token as UTF-8 bytes, by id; the specials under their names. ``len(tokens)`` rows is what a model needs.
        pieces: token ids of all fragments, one after another.
        starts: fragment f is ``pieces[starts[f]:starts[f + 1]]``.
        special: ids of the seven specials, in the order of ``fragments.SPECIALS``.
    """

    settings: TokenSettings
    modulus: int
    world_hash: str
    fragments: Fragments
    tokens: tuple[bytes, ...]
    pieces: Ids
    starts: NDArray[np.int32]
    special: tuple[int, ...]

    @property
    def size(self) -> int:
        """Rows that a model's embedding needs."""
        return len(self.tokens)

    @property
    def bos(self) -> int:
        """Id of [222], which begins a document."""
        return self.special[BEGIN]

    @property
    def solution(self) -> int:
        """Id of [223], which begins the solution."""
        return self.special[SOLUTION]

    @property
    def answer(self) -> int:
        """Id of [224], which begins the answer."""
        return self.special[ANSWER]

    @property
    def eos(self) -> int:
        """Id of [50256], which ends a document and stands before a prompt."""
        return self.special[END]

    @property
    def probe_markers(self) -> tuple[int, int, int]:
        """Ids of [START], [MID] and [END] of a probe query (225, 226, 227)."""
        return self.special[PROBE_START], self.special[PROBE_MID], self.special[PROBE_END]

    @property
    def dot(self) -> int:
        """Id of ".", which closes statements and solution sentences."""
        return int(self.fragment_ids(".")[0])

    def fragment_ids(self, text: str) -> Ids:
        """Token ids of one fragment, given by its text (" The number of each", " 7").

        Raises:
            BadInput: the closed language has no such fragment.
        """
        number = self._numbers.get(text)
        if number is None:
            raise BadInput("fragment", "must belong to the closed language of the table's world", text, "check the spelling and the leading space")
        return self.pieces[self.starts[number] : self.starts[number + 1]]

    def decode(self, ids: ArrayLike, *, specials: bool = False) -> str:
        """The text of token ids; special tokens are left out unless ``specials``, bytes that are no UTF-8 replaced.

        Raises:
            BadInput: an id is outside 0..size-1.
        """
        numbers = np.asarray(ids, dtype=np.int64).ravel()
        wrong = numbers[(numbers < 0) | (numbers >= self.size)]
        if wrong.size:
            raise BadInput("token id", f"must be between 0 and {self.size - 1}", int(wrong[0]), "decode with the table that the ids were made with")
        hidden: frozenset[int] = frozenset() if specials else frozenset(self.special)
        return b"".join(self.tokens[number] for number in numbers.tolist() if number not in hidden).decode("utf-8", errors="replace")

    def encode(self, text: str) -> Ids:
        """Token ids of a text of the closed language (a document, or any run of whole fragments); exact and slow. Specials are read by name.

        Raises:
            BadInput: the text leaves the closed language; the message shows where.
        """
        found: list[Ids] = []
        position = 0
        while position < len(text):
            match = self._pattern.match(text, position)
            if match is None:
                rest = text[position : position + 40]
                raise BadInput(
                    f"text at {position}", "must be made of fragments of the table's world", rest, "encode text of the same world and modulus"
                )
            found.append(self.fragment_ids(match.group()))
            position = match.end()
        return np.concatenate(found) if found else np.empty(0, np.uint32)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {text: number for number, text in reversed(list(enumerate(self.fragments.texts)))}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(fragment_pattern(self.fragments.texts))


def fragment_pattern(texts: Iterable[str]) -> str:
    """A regular expression of all fragments, longest first: it splits a document into the fragments it was made of."""
    ordered = sorted({text for text in texts if text}, key=lambda text: (-len(text), text))
    return "|".join(re.escape(text) for text in ordered)


def build_table(world: World, modulus: int, settings: TokenSettings) -> TokenTable:
    """The token table of a world and modulus.

    Raises:
        BadWorld: a name cannot be cut into GPT-2 pieces on its own (segmentation bpe).
        BadInput: segmentation bpe, a world without shipped pieces, and the ``bpe`` extra is not installed.
    """
    fragments = list_fragments(world, modulus)
    tokens, ids = _phrase_ids(fragments)
    starts = np.zeros(len(ids) + 1, np.int32)
    np.cumsum([len(part) for part in ids], out=starts[1:])
    pieces = np.array([one for part in ids for one in part], np.uint32)
    special = tuple(int(part[0]) for part in ids[:NUM_SPECIALS])
    return TokenTable(settings, modulus, world.content_hash, fragments, tokens, pieces, starts, special)


def _phrase_ids(fragments: Fragments) -> tuple[tuple[bytes, ...], Sequence[Sequence[int]]]:
    """One token per distinct fragment text, numbered by first appearance."""
    numbers: dict[str, int] = {}
    ids = [(numbers.setdefault(text, len(numbers)),) if text else () for text in fragments.texts]
    return tuple(text.encode() for text in numbers), ids
