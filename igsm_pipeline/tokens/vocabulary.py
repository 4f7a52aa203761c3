"""Token ids of the fragments under each segmentation and vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from igsm_pipeline.errors import BadWorld
from igsm_pipeline.text.retries import BACK
from igsm_pipeline.tokens.bpe import GPT2_SIZE, Pieces, needed_pieces, piece_bytes, read_pieces, split_words
from igsm_pipeline.tokens.fragments import BACK_GPT2_ID, NUM_SPECIALS, SPECIAL_GPT2_IDS, SPECIALS, Fragments
from igsm_pipeline.tokens.settings import TokenSettings
from igsm_pipeline.world import World

_UNKNOWN = "\N{REPLACEMENT CHARACTER}".encode()


@dataclass(frozen=True)
class Vocabulary:
    """Ids and what they stand for.

    Attributes:
        tokens: UTF-8 bytes of each id; the specials under their names.
        fragment_ids: token ids of each fragment, by fragment number.
        gpt2_ids: GPT-2 id of each id; empty for phrases.
        bpe: pieces and merges that segment the language; none for phrases.
        num_occurring: ids from here on are pieces that no document holds, but that a BPE passes on the way to those that do.
        back: id that takes a parameter back; None without ``settings.back``.
    """

    tokens: tuple[bytes, ...]
    fragment_ids: Sequence[Sequence[int]]
    gpt2_ids: tuple[int, ...]
    bpe: Pieces
    num_occurring: int
    back: int | None = None


def build_vocabulary(world: World, modulus: int, fragments: Fragments, settings: TokenSettings) -> Vocabulary:
    """The vocabulary of a closed language.

    Raises:
        BadWorld: a name cannot be cut into GPT-2 pieces on its own (segmentation bpe).
        BadInput: segmentation bpe needs GPT-2's files and they are not installed.
    """
    if settings.segmentation == "phrase":
        return _phrases(fragments, settings.back)
    _check_names(world)
    texts = fragments.texts[NUM_SPECIALS:]
    bpe = needed_pieces(read_pieces(world, modulus), texts)
    markers = {**dict(zip(SPECIAL_GPT2_IDS, SPECIALS, strict=True)), **({BACK_GPT2_ID: BACK} if settings.back else {})}
    for piece, number in bpe.ids.items():
        if number in markers:
            raise BadWorld(
                "world",
                "must not need GPT-2's pieces 222 to 228, which mark documents, queries and retries",
                piece,
                "write its names in plain English letters",
            )
    words = [[piece for word in split_words(text) for piece in bpe.segment(word)] for text in texts]
    occurring = {bpe.ids[piece] for parts in words for piece in parts} | set(markers)
    known = {number: piece_bytes(piece) for piece, number in bpe.ids.items()}
    known |= {number: name.encode() for number, name in markers.items()}
    numbers = tuple(range(GPT2_SIZE)) if settings.vocab == "gpt2" else (*sorted(occurring), *sorted(set(bpe.ids.values()) - occurring))
    new = {old: number for number, old in enumerate(numbers)}
    return Vocabulary(
        tokens=tuple(known.get(old, _UNKNOWN) for old in numbers),
        fragment_ids=[[new[old]] for old in SPECIAL_GPT2_IDS] + [[new[bpe.ids[piece]] for piece in parts] for parts in words],
        gpt2_ids=numbers,
        bpe=bpe,
        num_occurring=GPT2_SIZE if settings.vocab == "gpt2" else len(occurring),
        back=new[BACK_GPT2_ID] if settings.back else None,
    )


def _phrases(fragments: Fragments, back: bool) -> Vocabulary:
    """One token per distinct fragment text, numbered by first appearance, and the one that takes back behind them."""
    numbers: dict[str, int] = {}
    ids = [(numbers.setdefault(text, len(numbers)),) if text else () for text in fragments.texts]
    last = numbers.setdefault(BACK, len(numbers)) if back else None
    return Vocabulary(tuple(text.encode() for text in numbers), ids, (), Pieces({}, {}), len(numbers), last)


def _check_names(world: World) -> None:
    """Refuse names whose last word would run into the punctuation after it."""
    for place, name in world.items():
        if not name[-1].isalnum():
            path = f"world: hierarchies[{place.hierarchy}].layers[{place.layer}]"
            raise BadWorld(path, "must have names that end in a letter or digit (segmentation bpe)", name, "rename it or use segmentation phrase")
