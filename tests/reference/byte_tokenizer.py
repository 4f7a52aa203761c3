"""A tokenizer that nobody of this project made: one token per byte."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from igsm_pipeline.tokens.fragments import SPECIALS


def write_byte_tokenizer(folder: Path, *, specials: tuple[str, ...] = SPECIALS, end: str | None = None) -> Tokenizer:
    """One token per byte, the specials after them, as anyone's fast tokenizer might be."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in (*specials, *([end] if end else []))])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": end or specials[-1]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return tokenizer
