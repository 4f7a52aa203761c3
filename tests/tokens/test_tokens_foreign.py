"""A tokenizer that a checkpoint brings: its ids make up the table, and one that cannot carry the language is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference.byte_tokenizer import write_byte_tokenizer
from tokenizers import decoders

from igsm_pipeline.errors import BadCheckpoint, BadInput
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate
from igsm_pipeline.text import document
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.tokens.fragments import SPECIALS
from igsm_pipeline.world import load_world

FAMILY = FamilySettings(op_max=3, ip_max=4, modulus=5, op_law="uniform", split_by="problem")
OWN = TokenSettings(segmentation="checkpoint")


def test_documents_are_the_tokenizers_own_ids_and_decode_to_their_text(tmp_path: Path) -> None:
    tokenizer = write_byte_tokenizer(tmp_path)
    world = load_world("mini")
    table = build_table(world, FAMILY.modulus, OWN, tmp_path)
    batch = next(iter(generate(ProblemSetSettings(family=FAMILY, num_problems=5, block_size=5), world)))
    emitted = emit(batch, table, "pq")
    for row in range(5):
        texts = document(batch[row], "pq")
        whole = f"<|problem|>{texts.prompt}<|solution|>{texts.solution}<|answer|>{texts.answer}<|endoftext|>"
        assert emitted.document(row).tolist() == tokenizer.encode(whole, add_special_tokens=False).ids
        assert table.decode(emitted.document(row)) == "".join(texts)


def test_the_end_of_text_may_have_the_tokenizers_own_name(tmp_path: Path) -> None:
    tokenizer = write_byte_tokenizer(tmp_path, specials=SPECIALS[:-1], end="</s>")
    assert build_table(load_world("mini"), 5, OWN, tmp_path).eos == tokenizer.token_to_id("</s>")


def test_what_cannot_carry_the_language_is_refused(tmp_path: Path) -> None:
    world = load_world("mini")
    with pytest.raises(BadInput, match="must not be checkpoint where no checkpoint"):
        build_table(world, 5, OWN)
    with pytest.raises(BadCheckpoint, match=r"must hold tokenizer\.json"):
        build_table(world, 5, OWN, tmp_path)
    write_byte_tokenizer(tmp_path, specials=(*SPECIALS[:2], SPECIALS[-1]))
    with pytest.raises(BadCheckpoint, match=r"none of <\|answer\|>, <\|probe_start\|>"):
        build_table(world, 5, OWN, tmp_path)
    tokenizer = write_byte_tokenizer(tmp_path)
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace(" ", "_")])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(BadCheckpoint, match="back as it is"):
        build_table(world, 5, OWN, tmp_path)


def test_ids_beyond_the_table_can_be_replaced() -> None:
    table = build_table(load_world("mini"), 5, TokenSettings(segmentation="phrase"))
    ids = np.array([table.size + 3, *table.fragment_ids(" Define"), table.size, *table.fragment_ids(".")])
    assert table.decode(ids, replace=True) == "\N{REPLACEMENT CHARACTER} Define\N{REPLACEMENT CHARACTER}."
    with pytest.raises(BadInput, match="must be between 0 and"):
        table.decode(ids)
