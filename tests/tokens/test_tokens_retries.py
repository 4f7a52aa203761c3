"""Retries in documents: the ids are those of the text, reading them out gives the document without them, and both readers find the same."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from igsm_pipeline.errors import BadInput
from igsm_pipeline.problems import FamilySettings, ProblemBatch, ProblemSetSettings, generate_block
from igsm_pipeline.problems.law.retries import draw_retries
from igsm_pipeline.problems.record import parameter_of
from igsm_pipeline.problems.settings import RetrySettings
from igsm_pipeline.text import document, parse_solution
from igsm_pipeline.text import retries as text_retries
from igsm_pipeline.tokens import TokenSettings, TokenTable, build_table, emit
from igsm_pipeline.tokens.retries import with_retries, without_retries, wrong_names
from igsm_pipeline.tokens.tokenizer import build_tokenizer
from igsm_pipeline.training.batches import IGNORED, labels_of
from igsm_pipeline.world import load_world

FAMILY = FamilySettings(op_max=12, ip_max=16, modulus=23)
TOKENS = [
    TokenSettings(segmentation="phrase", back=True),
    TokenSettings(segmentation="bpe", back=True),
    TokenSettings(segmentation="bpe", vocab="gpt2", back=True),
]


@pytest.fixture(scope="module")
def batch() -> ProblemBatch:
    return generate_block(ProblemSetSettings(family=FAMILY, num_problems=60, block_size=60, seed=7), load_world("igsm"), 0)


@pytest.fixture(params=TOKENS, ids=lambda one: f"{one.segmentation}-{one.vocab}")
def table(request: pytest.FixtureRequest, batch: ProblemBatch) -> TokenTable:
    return build_table(batch.world, batch.modulus, request.param)


@pytest.mark.parametrize("kind", ["retry", "weak", "miss"])
@pytest.mark.parametrize("format", ["pq", "qp"])
def test_the_ids_are_those_of_the_text_with_its_retries(batch: ProblemBatch, table: TokenTable, kind: str, format: str) -> None:
    settings = RetrySettings(kind=kind, rate=0.5)
    plain = emit(batch, table, format)
    emitted, drawn = with_retries(plain, batch, table, settings), draw_retries(batch.records, settings)
    tokenizer = build_tokenizer(table)
    for index, problem in enumerate(batch):
        names = [(sentence, problem.name(parameter_of(batch.records[index], one))) for sentence, one in drawn.of(index)]
        told = document(problem, format)
        sentences = [sentence.render() for sentence in parse_solution(told.solution)]
        solution = text_retries.with_retries(sentences, names)
        assert table.decode(emitted.completion(index)) == solution + told.answer
        assert (table.encode(solution) == emitted.completion(index)[: len(table.encode(solution))]).all()
        assert tokenizer.encode(solution, add_special_tokens=False).ids == table.encode(solution).tolist()
        assert tokenizer.decode(table.encode(solution).tolist(), skip_special_tokens=True) == solution
        assert text_retries.without_retries(solution) == (told.solution, tuple(name for _, name in names))
        assert (emitted.prompt(index) == plain.prompt(index)).all()
        ends = emitted.document(index)[emitted.sentences(index)]
        assert (ends == table.dot).all()
        assert len(ends) == len(problem.order)
        defined = [table.decode(emitted.document(index)[: end + 1]).rsplit(" Define ", 1)[1] for end in emitted.sentences(index)]
        assert defined == [f"{sentence.removeprefix('Define ')}." for sentence in sentences]
    completions = [emitted.completion(index) for index in range(len(batch))]
    offsets = np.cumsum([0, *map(len, completions)])
    ids, found, counts = without_retries(np.concatenate(completions), offsets, table)
    assert [ids[a:b].tolist() for a, b in pairwise(found)] == [plain.completion(i).tolist() for i in range(len(batch))]
    assert counts.tolist() == np.bincount(drawn.problem, minlength=len(batch)).tolist()


def test_damaged_retries_are_read_alike_from_ids_and_from_text(batch: ProblemBatch, table: TokenTable) -> None:
    """Where the ids are read as a retry, so is the text; what is left of both is the same."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    emitted = with_retries(emit(batch, table, "pq"), batch, table, RetrySettings(rate=0.6))
    common = [int(part) for text in (" Define", " as", ".", "; so", " =", " equals each") for part in table.fragment_ids(text)]
    equal = 0
    for _ in range(1500):
        index = rng.randrange(len(batch))
        ids = emitted.completion(index)[: -int(rng.random() < 0.5) or None].tolist()
        ids = ids[: ids.index(table.answer)] if table.answer in ids else ids
        for _ in range(rng.randrange(4)):
            place = rng.randrange(len(ids))
            kind = rng.randrange(3)
            if kind == 0:
                ids[place] = rng.choice([*common, table.back, rng.choice(ids)])
            elif kind == 1:
                ids.insert(place, rng.choice([*common, table.back, rng.choice(ids)]))
            elif len(ids) > 2:
                del ids[place]
        array = np.array(ids, np.uint32)
        left, _, counts = without_retries(array, np.array([0, len(array)]), table)
        text, names = text_retries.without_retries(table.decode(array))
        assert counts[0] <= len(names)
        if counts[0] == len(names):
            assert table.decode(left) == text
            equal += 1
    assert equal > 1400


def test_a_table_without_the_token_is_as_before_and_refuses_retries(batch: ProblemBatch) -> None:
    for settings in TOKENS:
        old = build_table(batch.world, batch.modulus, settings.model_copy(update={"back": False}))
        new = build_table(batch.world, batch.modulus, settings)
        assert old.back is None
        assert new.back is not None
        assert new.appended == new.size - old.size or settings.segmentation == "bpe"
        assert old.appended == 0
        assert (
            settings.canonical()
            != settings.model_copy(update={"back": False}).canonical()
            == {
                "segmentation": settings.segmentation,
                "vocab": settings.vocab,
            }
        )
        assert new.size == old.size + (settings.vocab == "compact")
        with pytest.raises(BadInput, match=r"tokens\.back must be true"):
            with_retries(emit(batch, old, "pq"), batch, old, RetrySettings(rate=0.5))


def test_documents_of_another_batch_are_refused(batch: ProblemBatch, table: TokenTable) -> None:
    with pytest.raises(BadInput, match=r"emitted must be the documents of the batch, got '2 for \d+ problems'; emit this batch first"):
        with_retries(emit(batch.take(slice(2)), table, "pq"), batch, table, RetrySettings(rate=0.6))


def test_masked_names_have_no_label_and_all_else_has(batch: ProblemBatch, table: TokenTable) -> None:
    emitted = with_retries(emit(batch, table, "pq"), batch, table, RetrySettings(rate=0.6))
    size = int(emitted.lengths.max())
    windows, lengths = np.full((len(batch), size), table.eos, np.uint32), emitted.lengths.astype(np.int32)
    for index in range(len(batch)):
        windows[index, : lengths[index]] = emitted.document(index)
    masked = labels_of(windows, lengths, None, None, wrong_names(windows, table))
    plain = labels_of(windows, lengths, None, None)
    drawn = draw_retries(batch.records, RetrySettings(rate=0.6))
    for index, problem in enumerate(batch):
        names = [f" {problem.name(parameter_of(batch.records[index], one))}" for _, one in drawn.of(index)]
        hidden = (plain[index] != IGNORED) & (masked[index] == IGNORED)
        assert table.decode(plain[index][hidden]) == "".join(names)
        assert (masked[index][~hidden] == plain[index][~hidden]).all()
