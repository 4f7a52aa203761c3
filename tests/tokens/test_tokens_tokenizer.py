"""The exported tokenizer, loaded by plain transformers, agrees with direct emission."""

from __future__ import annotations

import json

import numpy as np
import pytest
from reference.drawn_records import draw_batch
from reference.plain_text import document
from transformers import AutoTokenizer

from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.tokens.fragments import END, SPECIALS
from igsm_pipeline.tokens.tokenizer import save_tokenizer
from igsm_pipeline.world import load_world

SEED = 13
SEGMENTATIONS = [("phrase", "compact"), ("bpe", "compact"), ("bpe", "gpt2")]


@pytest.fixture(scope="module")
def batch():
    print("seed", SEED)
    return draw_batch(load_world("igsm"), 23, 30, SEED)


@pytest.fixture(scope="module", params=SEGMENTATIONS, ids="-".join)
def table(request, batch):
    segmentation, vocab = request.param
    return build_table(batch.world, batch.modulus, TokenSettings(segmentation=segmentation, vocab=vocab))


@pytest.fixture(scope="module", params=[False, True], ids=["alone", "beside a model"])
def tokenizer(request, table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(table, folder)
    if request.param:
        (folder / "config.json").write_text(json.dumps({"model_type": "gpt_neox", "vocab_size": table.size}))
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("form", ["pq", "qp"])
def test_whole_documents_get_the_emitted_ids(batch, table, tokenizer, form):
    emitted = emit(batch, table, form)
    for i, problem in enumerate(batch):
        text = document(problem, form)
        assert tokenizer(text)["input_ids"] == emitted.document(i).tolist()
        assert tokenizer.decode(emitted.document(i).tolist()) == text
        assert tokenizer.decode(emitted.completion(i).tolist(), skip_special_tokens=True) == table.decode(emitted.completion(i))


def test_specials_are_special(table, tokenizer):
    assert tokenizer.convert_tokens_to_ids(list(SPECIALS)) == list(table.special)
    assert set(table.special) <= set(tokenizer.all_special_ids)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (table.bos, table.eos)
    assert tokenizer.decode(list(table.special), skip_special_tokens=True) == ""


def test_a_model_of_the_table_size_has_a_row_for_every_id(table, tokenizer):
    assert len(tokenizer) == table.size
    assert max(tokenizer.get_vocab().values()) == table.size - 1


def test_batches_are_padded_on_the_left(batch, table, tokenizer):
    texts = [document(problem, "pq") for problem in list(batch)[:3]]
    padded = tokenizer(texts, padding=True, return_tensors="np")
    lengths = padded["attention_mask"].sum(axis=1)
    for ids, length, i in zip(padded["input_ids"], lengths, range(3), strict=True):
        np.testing.assert_array_equal(ids[len(ids) - length :], emit(batch, table, "pq").document(i))


def test_an_unknown_word_becomes_the_end_of_text_and_is_no_exception(batch, table, tokenizer):
    end = SPECIALS[END]
    assert (tokenizer.unk_token, tokenizer.unk_token_id) == (end, table.eos)
    text = document(batch[0], "pq")
    known = tokenizer(text)["input_ids"]
    ids = tokenizer(f"{text} \u00e9\u4e2d zebra")["input_ids"]
    assert ids[: len(known)] == known
    assert len(ids) > len(known)
    if table.settings.vocab == "compact":
        assert table.eos in ids[len(known) :]


def test_the_configuration_says_what_transformers_4_reads(table, tmp_path):
    save_tokenizer(table, tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert set(config["additional_special_tokens"]) | {config["bos_token"], config["eos_token"]} == set(SPECIALS)
    assert "extra_special_tokens" not in config  # as a list it stops transformers 4


def test_the_tokenizer_beside_shards_keeps_its_bytes(table, tmp_path):
    save_tokenizer(table, tmp_path, loads_everywhere=False)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert len(config["extra_special_tokens"]) == 5
    assert not config.keys() & {"unk_token", "additional_special_tokens"}
    save_tokenizer(table, tmp_path / "new")
    old, new = (json.loads((folder / "tokenizer.json").read_text()) for folder in (tmp_path, tmp_path / "new"))
    assert old["model"].pop("unk_token") != new["model"].pop("unk_token") == SPECIALS[END]
    assert old == new
