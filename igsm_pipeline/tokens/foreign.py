"""The token table of a checkpoint that brings its own tokenizer: every fragment is encoded by it.

Ours: fragments are encoded one by one. Where a tokenizer would merge across their borders, its ids of a whole text differ, but they are ids of
the same text; a tokenizer that adds or drops spaces within a text is refused.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tokenizers import Tokenizer

from igsm_pipeline.errors import BadCheckpoint
from igsm_pipeline.tokens.bpe import Pieces
from igsm_pipeline.tokens.fragments import DEFINE, END, NUM_SPECIALS, SPECIALS, Fragments
from igsm_pipeline.tokens.vocabulary import Vocabulary

TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a checkpoint folder.

    Raises:
        BadCheckpoint: there is no tokenizer.json, or it cannot be read.
    """
    try:
        return Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise BadCheckpoint(f"checkpoint {folder}", f"must hold {TOKENIZER}", str(error), "save its (fast) tokenizer there") from None


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy the tokenizer's files from one model folder to another."""
    for file in sorted(source.glob("*token*.json")):
        shutil.copyfile(file, target / file.name)


def foreign_vocabulary(fragments: Fragments, folder: Path) -> Vocabulary:
    """Ids of all fragments in the tokenizer of a checkpoint folder.

    Raises:
        BadCheckpoint: the tokenizer cannot be read, lacks one of the special tokens, or does not give a fragment's text back.
    """
    tokenizer = read_tokenizer(folder)
    special = _special_ids(tokenizer, folder)
    size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in fragments.texts[NUM_SPECIALS:]]
    before = ids[DEFINE - NUM_SPECIALS][:1]
    prefix = tokenizer.decode(before, skip_special_tokens=False)
    for text, own in zip(fragments.texts[NUM_SPECIALS:], ids, strict=True):
        back = tokenizer.decode(before + own, skip_special_tokens=False)
        if back != prefix + text:
            raise BadCheckpoint(f"tokenizer of {folder}", f"must give {text!r} back as it is", back.removeprefix(prefix), "use one that keeps spaces")
    texts = tokenizer.decode_batch([[*before, number] for number in range(size)], skip_special_tokens=False)
    tokens = [text.removeprefix(prefix).encode() for text in texts]
    for number, name in zip(special, SPECIALS, strict=True):
        tokens[number] = name.encode()
    return Vocabulary(tuple(tokens), [[number] for number in special] + ids, (), Pieces({}, {}), size)


def _special_ids(tokenizer: Tokenizer, folder: Path) -> list[int]:
    """Ids of the specials by name; the end of text may also be what the tokenizer's configuration calls its end."""
    path = folder / TOKENIZER_CONFIG
    config = json.loads(path.read_text()) if path.is_file() else {}
    end = config.get("eos_token")
    names = {name: name for name in SPECIALS}
    if tokenizer.token_to_id(SPECIALS[END]) is None and end is not None:
        names[SPECIALS[END]] = end["content"] if isinstance(end, dict) else end
    found = {name: tokenizer.token_to_id(called) for name, called in names.items()}
    missing = [name for name, number in found.items() if number is None]
    if missing:
        raise BadCheckpoint(
            f"tokenizer of {folder}",
            "must have the tokens that mark problems, solutions, answers and queries",
            f"none of {', '.join(missing)}",
            "add them as special tokens and resize the model's embedding",
        )
    return [number for number in found.values() if number is not None]
