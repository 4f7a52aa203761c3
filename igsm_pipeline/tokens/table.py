"""The token table of a world: token ids of every fragment, and the way back from ids to text.

Source: documents are [222] problem and question [223] solution [224] answer [50256] in GPT-2's ids. Ours: the same specials under compact ids, and
the phrase segmentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from igsm_pipeline.errors import BadInput
from igsm_pipeline.problems.modulus import whole_modulus
from igsm_pipeline.text.retries import BACK
from igsm_pipeline.tokens.bpe import GPT2_SIZE
from igsm_pipeline.tokens.foreign import foreign_vocabulary
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
from igsm_pipeline.tokens.vocabulary import Vocabulary, build_vocabulary
from igsm_pipeline.world import World

Ids = NDArray[np.uint32]
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
OTHER, DOT, ENDS_IN_DOT, NO_NAME, SPACED = range(5)
"""What a token can be for a name that is taken back: of no interest; "."; something else that ends in a dot; what no name holds; what begins with a
space."""


class RetryLanguage(NamedTuple):
    """How retries are written in a table: the ids around a name, and which ids a name can hold."""

    define: Ids
    rest: Ids  # " as", the token that takes back, "."
    kind: NDArray[np.uint8]  # of every id, one of the above


@dataclass(frozen=True)
class TokenTable:
    """Token ids of every fragment of one world, modulus and segmentation.

    Attributes:
        settings: segmentation and vocabulary.
        modulus: M.
        world_hash: content hash of the world.
        fragments: the closed language.
        vocabulary: what each id stands for.
        pieces: token ids of all fragments, one after another.
        starts: fragment f is ``pieces[starts[f]:starts[f + 1]]``.
        special: ids of the seven specials, in the order of ``fragments.SPECIALS``.
    """

    settings: TokenSettings
    modulus: int
    world_hash: str
    fragments: Fragments
    vocabulary: Vocabulary
    pieces: Ids
    starts: NDArray[np.int32]
    special: tuple[int, ...]

    @property
    def size(self) -> int:
        """Rows that a model's embedding needs: one per id."""
        return len(self.vocabulary.tokens)

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
    def back(self) -> int | None:
        """Id that takes back the parameter named before it; None in a table without retries."""
        return self.vocabulary.back

    @property
    def appended(self) -> int:
        """How many ids stand behind those of the same table without the token that takes back: 1 where that is the last one, otherwise 0."""
        return int(self.back == self.size - 1)

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

    def decode(self, ids: ArrayLike, *, specials: bool = False, replace: bool = False) -> str:
        """The text of token ids; special tokens are left out unless ``specials``, bytes that are no UTF-8 replaced.

        The token that takes a parameter back belongs to the solution's text and is never left out.

        With ``replace`` so are ids outside 0..size-1, which a model with more embedding rows than the table may write.

        Raises:
            BadInput: an id is outside 0..size-1, without ``replace``.
        """
        numbers = np.asarray(ids, dtype=np.int64).ravel()
        outside = (numbers < 0) | (numbers >= self.size)
        wrong = numbers[outside]
        if wrong.size and replace:
            first, *others = np.split(numbers, np.flatnonzero(outside))  # each of the others begins with an unknown id
            return UNKNOWN.join(self.decode(part, specials=specials) for part in (first, *(part[1:] for part in others)))
        if wrong.size:
            raise BadInput("token id", f"must be between 0 and {self.size - 1}", int(wrong[0]), "decode with the table that the ids were made with")
        hidden: frozenset[int] = frozenset() if specials else frozenset(self.special)
        tokens = self.vocabulary.tokens
        return b"".join(tokens[number] for number in numbers.tolist() if number not in hidden).decode("utf-8", errors="replace")

    def decode_completion(self, ids: NDArray[np.integer]) -> tuple[str, str | None]:
        """Solution and answer of what a model wrote, unknown ids replaced; the answer is None where its marker never came."""
        marks = np.flatnonzero(ids == self.answer)
        if not len(marks):
            return self.decode(ids, replace=True), None
        return self.decode(ids[: marks[0]], replace=True), self.decode(ids[marks[0] + 1 :], replace=True)

    def encode(self, text: str) -> Ids:
        """Token ids of a text of the closed language (a document, or any run of whole fragments); exact and slow. Specials are read by name.

        Raises:
            BadInput: the text leaves the closed language; the message shows where.
        """
        found: list[Ids] = []
        position = 0
        while position < len(text):
            if self.back is not None and text.startswith(BACK, position):
                found.append(np.array([self.back], np.uint32))
                position += len(BACK)
                continue
            match = self._pattern.match(text, position)
            if match is None:
                rest = text[position : position + 40]
                raise BadInput(
                    f"text at {position}", "must be made of fragments of the table's world", rest, "encode text of the same world and modulus"
                )
            found.append(self.fragment_ids(match.group()))
            position = match.end()
        return np.concatenate(found) if found else np.empty(0, np.uint32)

    @property
    def to_gpt2(self) -> NDArray[np.int64]:
        """GPT-2 id of every id. Shape (size,).

        Raises:
            BadInput: phrases have none.
        """
        if not self.vocabulary.gpt2_ids:
            raise BadInput("tokens.segmentation", "must be bpe for a map to GPT-2's ids", self.settings.segmentation, "use segmentation bpe")
        return np.array(self.vocabulary.gpt2_ids, np.int64)

    @property
    def from_gpt2(self) -> NDArray[np.int64]:
        """Id of every GPT-2 id, -1 where there is none. Shape (50257,).

        Raises:
            BadInput: phrases have none.
        """
        numbers = np.full(GPT2_SIZE, -1, np.int64)
        numbers[self.to_gpt2] = np.arange(self.size)
        return numbers

    @cached_property
    def retry_language(self) -> RetryLanguage:
        """How retries are written in this table.

        Raises:
            BadInput: the table has no token that takes back.
        """
        if self.back is None:
            raise BadInput("tokens.back", "must be true where solutions hold retries", False, "set it in the experiment's tokens")
        rest = np.concatenate((self.fragment_ids(" as"), np.array([self.back], np.uint32), self.fragment_ids(".")))
        kind = np.zeros(self.size, np.uint8)
        for number, token in enumerate(self.vocabulary.tokens):
            if token.startswith(b" ") and len(token) > 1:
                kind[number] = SPACED
            if token == b".":
                kind[number] = DOT
            elif token.endswith(b"."):
                kind[number] = ENDS_IN_DOT
            elif any(mark in token for mark in (b".", b";", b"=")) or number in self.special or number == self.back:
                kind[number] = NO_NAME
        return RetryLanguage(self.fragment_ids(" Define"), rest, kind)

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


def build_table(world: World, modulus: int, settings: TokenSettings, checkpoint: Path | None = None) -> TokenTable:
    """The token table of a world and modulus.

    Args:
        world: the names.
        modulus: M.
        settings: segmentation and vocabulary.
        checkpoint: folder whose tokenizer is meant by segmentation checkpoint; others do not read it.

    Raises:
        BadCheckpoint: segmentation checkpoint, and the folder's tokenizer cannot be used.
        BadWorld: a name cannot be cut into GPT-2 pieces on its own (segmentation bpe).
        BadInput: no modulus; or segmentation bpe, a world without shipped pieces, and the ``bpe`` extra is not installed.

    Example:
        >>> from igsm_pipeline.world import load_world
        >>> table = build_table(load_world("igsm"), 23, TokenSettings(segmentation="phrase"))
        >>> table.decode(table.encode(" 7 + 9"))
        ' 7 + 9'
    """
    modulus = whole_modulus(modulus)
    fragments = list_fragments(world, modulus)
    if settings.segmentation != "checkpoint":
        vocabulary = build_vocabulary(world, modulus, fragments, settings)
    elif checkpoint is not None:
        vocabulary = foreign_vocabulary(fragments, checkpoint)
    else:
        raise BadInput("tokens.segmentation", "must not be checkpoint where no checkpoint brings a tokenizer", "checkpoint", "use bpe or phrase")
    starts = np.zeros(len(fragments.texts) + 1, np.int32)
    np.cumsum([len(part) for part in vocabulary.fragment_ids], out=starts[1:])
    pieces = np.array([one for part in vocabulary.fragment_ids for one in part], np.uint32)
    special = tuple(int(part[0]) for part in vocabulary.fragment_ids[:NUM_SPECIALS])
    return TokenTable(settings, modulus, world.content_hash, fragments, vocabulary, pieces, starts, special)
