"""The tokenizer that travels with a checkpoint: files that ``transformers.AutoTokenizer.from_pretrained`` loads, no code of ours needed.

It encodes whole documents, specials by their names, to the ids that ``emit`` gives, and decodes them back.

A word or byte that it does not know becomes the end of text, as in GPT-2, whose only special token that is.

Ours: the specials' names; in GPT-2's vocabulary they replace the six bytes 0x80 to 0x85, which no English text holds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from igsm_pipeline.store import write_atomically
from igsm_pipeline.text.retries import BACK
from igsm_pipeline.tokens.bpe import Pieces, read_gpt2
from igsm_pipeline.tokens.fragments import ANSWER, BEGIN, END, NUM_SPECIALS, PROBE_END, PROBE_MID, PROBE_START, SOLUTION, SPECIALS
from igsm_pipeline.tokens.table import TokenTable, fragment_pattern

UNKNOWN = SPECIALS[END]


def save_tokenizer(table: TokenTable, folder: Path, *, loads_everywhere: bool = True) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json``.

    Args:
        table: the ids.
        folder: where the files go; made if need be.
        loads_everywhere: transformers 4 loads it, too, and it has an unknown token. False gives the bytes that stage ``token_shards`` has
            written since its VERSION 1: with others, shards that are made again would make the checkpoints trained on them stale.

    Raises:
        BadInput: vocabulary gpt2 is written whole, which needs GPT-2's files, and they are not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(table)
    extra = [SPECIALS[one] for one in (SOLUTION, ANSWER, PROBE_START, PROBE_MID, PROBE_END)]
    if loads_everywhere:
        tokenizer.model.unk_token = UNKNOWN
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SPECIALS[BEGIN],
        "eos_token": SPECIALS[END],
        "pad_token": SPECIALS[END],
        **({"unk_token": UNKNOWN, "additional_special_tokens": extra} if loads_everywhere else {"extra_special_tokens": extra}),
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": "left",
    }
    write_atomically(folder / "tokenizer.json", tokenizer.to_str(pretty=False).encode())
    write_atomically(folder / "tokenizer_config.json", (json.dumps(config, indent=2) + "\n").encode())


def build_tokenizer(table: TokenTable) -> Tokenizer:
    """The tokenizer of a table.

    Raises:
        BadInput: as ``save_tokenizer``.
    """
    if table.settings.segmentation == "phrase":
        tokenizer = Tokenizer(models.WordLevel({token.decode(): number for number, token in enumerate(table.vocabulary.tokens)}))
        pattern = fragment_pattern(table.fragments.texts[NUM_SPECIALS:])
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
        tokenizer.decoder = decoders.Fuse()
    else:
        ids, merges = _bpe_model(table)
        tokenizer = Tokenizer(models.BPE(ids, merges, ignore_merges=True))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIALS])
    if table.back is not None:  # part of a solution's text: decoding without special tokens keeps it
        tokenizer.add_tokens([AddedToken(BACK, special=False, normalized=False)])
    return tokenizer


def _bpe_model(table: TokenTable) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Ids by piece, the specials included, and merges in order."""
    pieces: Pieces = read_gpt2() if table.settings.vocab == "gpt2" else table.vocabulary.bpe
    number_of = table.from_gpt2
    markers = dict(zip(SPECIALS, table.special, strict=True)) | ({BACK: table.back} if table.back is not None else {})
    replaced = set(table.to_gpt2[list(markers.values())].tolist())
    ids = {piece: int(number_of[old]) for piece, old in pieces.ids.items() if old not in replaced}
    merges = [(left, right) for left, right in pieces.merges if {left, right, left + right} <= ids.keys()]
    return ids | markers, merges
