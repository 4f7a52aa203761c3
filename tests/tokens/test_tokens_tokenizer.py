"""The exported tokenizer, loaded by plain transformers, agrees with direct emission."""

from __future__ import annotations

import json

import numpy as np
import pytest
from reference.drawn_records import draw_batch
from reference.plain_text import document
from transformers import AutoTokenizer

from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.tokens.fragments import SPECIALS
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
    table.save(folder)
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
