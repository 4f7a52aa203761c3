"""Verdicts from token ids equal those from text in every field, whatever the tokens are."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from igsm_pipeline.errors import BadInput
from igsm_pipeline.problems.law.retries import draw_retries
from igsm_pipeline.problems.settings import RetrySettings
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.tokens.bpe import read_gpt2, split_words
from igsm_pipeline.tokens.retries import with_retries
from igsm_pipeline.verification import verify
from igsm_pipeline.verification.token_path import TokenVerifier, joined, problem_from_text
from igsm_pipeline.verification.verdict import Error
from igsm_pipeline.world import load_world
from igsm_pipeline.world.world import parse_world
from tests.reference.drawn_records import draw_batch
from tests.reference.plain_text import answer, solution
from tests.reference.slow_verifier import count_unnecessary, judge
from tests.reference.solution_damage import DAMAGES, HARMLESS, noise, redundant

SEED, MODULUS = 1124, 11
SETTINGS = {
    "bpe compact": TokenSettings(),
    "bpe gpt2": TokenSettings(vocab="gpt2"),
    "phrase": TokenSettings(segmentation="phrase"),
}


@pytest.fixture(scope="module")
def batch():
    return draw_batch(load_world("mini"), MODULUS, 60, SEED)


@pytest.fixture(scope="module", params=SETTINGS)
def table(request):
    return build_table(load_world("mini"), MODULUS, SETTINGS[request.param])


@pytest.fixture(scope="module")
def gpt2():
    return read_gpt2()


def encode(table, gpt2, text: str) -> np.ndarray | None:
    """Ids of any text, or None where the table has none for it."""
    if table.settings.segmentation == "phrase":
        try:
            return table.encode(text)
        except BadInput:
            return None
    ids = np.array([gpt2.ids[piece] for word in split_words(text) for piece in gpt2.segment(word)], np.int64)
    ids = table.from_gpt2[ids] if len(ids) else ids
    return None if (ids < 0).any() else ids.astype(np.uint32)


def compare(batch, table, rows, completions, finished):
    """Assert that both paths agree on every row; return the verdicts."""
    ids, offsets = joined(completions)
    found = TokenVerifier(batch, table).judge(ids, offsets, np.array(finished, bool), np.array(rows, np.int64))
    for place, (row, completion, ended) in enumerate(zip(rows, completions, finished, strict=True)):
        text, given = table.decode_completion(completion)
        problem, _ = problem_from_text(batch[row], batch.world)
        assert found[place] == verify(problem, text, given, finished=ended and given is not None), (row, text, given, ended)
    return found


def test_right_completions_are_correct_and_need_no_text(batch, table):
    emitted = emit(batch, table, "pq")
    found = compare(batch, table, range(len(batch)), [emitted.completion(row) for row in range(len(batch))], [True] * len(batch))
    assert found.correct.all()
    assert not found.through_text.any()
    assert not found.unnecessary_parameters.any()
    assert not found.unnecessary_operations.any()


@pytest.mark.parametrize("change", HARMLESS, ids=lambda change: change.__name__)
def test_changed_completions_that_stay_right_need_no_text(batch, table, change):
    rng = random.Random(f"{SEED} {change.__name__}")
    texts = [change(rng, problem, solution(problem)) for problem in batch]
    completions = [table.encode(f"{text}<|answer|>{answer(problem)}<|endoftext|>") for text, problem in zip(texts, batch, strict=True)]
    found = compare(batch, table, range(len(batch)), completions, [True] * len(batch))
    assert found.correct.all()
    assert not found.through_text.any()
    assert found.unnecessary_parameters.tolist() == [count_unnecessary(problem, text) for text, problem in zip(texts, batch, strict=True)]
    assert found.unnecessary_operations.tolist() == [text.count(";") - problem.op for text, problem in zip(texts, batch, strict=True)]
    assert found.unnecessary_parameters.any() == (change is redundant)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_texts_get_the_verdict_of_their_text(batch, table, gpt2, damage):
    rng = random.Random(f"{SEED} {damage.__name__}")
    rows, completions, finished = [], [], []
    for row in range(len(batch)):
        problem = batch[row]
        text = damage(rng, problem, solution(problem))
        text = noise(rng, problem, text) if rng.random() < 0.1 else text
        ids, tail = encode(table, gpt2, text), rng.choice(["", "<|endoftext|>", f"<|answer|>{answer(problem)}<|endoftext|>", "<|answer|> 1"])
        if ids is not None:
            rows.append(row)
            completions.append(np.concatenate((ids, table.encode(tail))))
            finished.append(tail.endswith(">"))
    compare(batch, table, rows, completions, finished)


def damage_ids(rng: random.Random, table, ids: np.ndarray) -> np.ndarray:
    """Ids after one or two changes anywhere."""
    ids = list(ids.tolist())
    for _ in range(rng.choice([1, 1, 2])):
        place, other = rng.randrange(len(ids)), rng.randrange(len(ids))
        kind = rng.randrange(6)
        if kind == 0:
            ids[place] = ids[other]
        elif kind == 1:
            ids[place] = rng.randrange(table.size)
        elif kind == 2:
            del ids[place]
        elif kind == 3:
            ids.insert(place, ids[other])
        elif kind == 4:
            ids[place], ids[other] = ids[other], ids[place]
        else:
            del ids[place:]
        if not ids:
            break
    return np.array(ids, np.uint32)


def test_damaged_ids_get_the_verdict_of_their_text(batch, table):
    rng = random.Random(f"{SEED} ids")
    emitted = emit(batch, table, "pq")
    rows = [row for row in range(len(batch)) for _ in range(20)]
    completions = [damage_ids(rng, table, emitted.completion(row)) for row in rows]
    found = compare(batch, table, rows, completions, [rng.random() < 0.8 for _ in rows])
    assert len(set(found.error.tolist())) > 6


RETRYING = {
    "bpe": TokenSettings(back=True),
    "bpe gpt2": TokenSettings(vocab="gpt2", back=True),
    "phrase": TokenSettings(segmentation="phrase", back=True),
}


@pytest.mark.parametrize("kind", ["retry", "weak", "miss"])
@pytest.mark.parametrize("tokens", RETRYING)
def test_retries_are_counted_and_not_judged(batch, tokens, kind):
    """Right completions with retries are right without their text; damaged ones get the verdict of their text."""
    table = build_table(batch.world, batch.modulus, RETRYING[tokens])
    settings = RetrySettings(kind=kind, rate=0.5, seed=SEED)
    emitted, drawn = with_retries(emit(batch, table, "pq"), batch, table, settings), draw_retries(batch.records, settings)
    completions = [emitted.completion(row) for row in range(len(batch))]
    found = compare(batch, table, range(len(batch)), completions, [True] * len(batch))
    assert found.correct.all()
    assert not found.through_text.any()
    assert found.retries.tolist() == np.bincount(drawn.problem, minlength=len(batch)).tolist()
    assert not found.unnecessary_operations.any()
    rng = random.Random(f"{SEED} {tokens} {kind}")
    rows = [row for row in range(len(batch)) for _ in range(20)]
    damaged = [damage_ids(rng, table, completions[row]) for row in rows]
    found = compare(batch, table, rows, damaged, [rng.random() < 0.8 for _ in rows])
    assert len(set(found.error.tolist())) > 6


def replace_operands(rng: random.Random, table, ids: np.ndarray) -> np.ndarray:
    """Ids with one symbol or number replaced by another of its kind."""
    layout = table.fragments.layout
    kinds = [table.pieces[table.starts[np.arange(start, start + count)]] for start, count in ((layout[0], MODULUS), (layout[1], 52))]
    kind = kinds[rng.randrange(2)]
    ids = ids.copy()
    ids[rng.choice(np.flatnonzero(np.isin(ids, kind)).tolist())] = rng.choice([int(one) for one in kind if one in ids])
    return ids


def test_wrong_operands_are_judged_without_text_as_the_slow_verifier_does(batch, table):
    rng = random.Random(f"{SEED} operands")
    emitted = emit(batch, table, "qp")
    rows = [row for row in range(len(batch)) for _ in range(10)]
    completions = [replace_operands(rng, table, emitted.completion(row)) for row in rows]
    found = compare(batch, table, rows, completions, [True] * len(rows))
    unread = {Error.PARSE, Error.UNKNOWN_PARAMETER}  # "so" with another symbol; a piece of a name that is a symbol as well
    assert {found[place].error for place in np.flatnonzero(found.through_text)} <= unread
    for place, row in enumerate(rows):
        text, given = table.decode_completion(completions[place])
        problem, verdict = batch[row], found[place]
        assert (verdict.error, verdict.sentence, verdict.parameter) == judge(problem, text, given)
        assert verdict.unnecessary_parameters == count_unnecessary(problem, text)
    kinds = {found[place].error for place in range(len(rows))}
    assert kinds >= {
        Error.WRONG_REFERENCE,
        Error.WRONG_ARITHMETIC,
        Error.UNDEFINED_SYMBOL,
        Error.WRONG_DEPENDENCY,
        Error.WRONG_ANSWER,
        Error.WRONG_VALUE,
    }


def test_any_ids_get_the_verdict_of_their_text(batch, table):
    rng = np.random.default_rng(SEED)
    rows = rng.integers(len(batch), size=200)
    completions = [rng.integers(table.size, size=rng.integers(0, 30)).astype(np.uint32) for _ in rows]
    completions[0] = np.array([table.answer], np.uint32)
    completions[1] = np.array([table.eos], np.uint32)
    compare(batch, table, rows.tolist(), completions, rng.random(len(rows)) < 0.5)


def test_ids_outside_the_table_get_the_verdict_of_their_text(batch, table):
    right = emit(batch, table, "pq").completion(0)
    unknown = [np.insert(right, place, table.size + 3) for place in (0, 7, len(right) - 3, len(right) - 1)]
    found = compare(batch, table, [0] * 5, [*unknown, right], [True] * 5)
    assert found.correct.tolist() == [False] * 4 + [True]


def test_without_a_table_every_completion_goes_through_its_text(batch, table):
    ids, offsets = joined([np.array([1, 2, 3], np.uint32)] * len(batch))
    everything, problems = np.ones(len(batch), bool), list(batch)
    with pytest.raises(ValueError, match="must come with their texts"):
        TokenVerifier(batch, None).judge(ids, offsets, everything)
    found = TokenVerifier(batch, None).judge(ids, offsets, everything, text=lambda index: (solution(problems[index]), answer(problems[index])))
    assert found.through_text.all()
    assert found.correct.all()


def test_a_lenient_world_goes_through_text(batch):
    world = load_world("mini")
    document = world.document()
    document["lenient"] = True

    lenient = parse_world(json.dumps(document).encode(), "lenient.json")
    loose = replace(batch, world=lenient).take(slice(0, 5))
    table = build_table(lenient, MODULUS, SETTINGS["phrase"])
    emitted = emit(loose, table, "pq")
    found = compare(loose, table, range(5), [emitted.completion(row) for row in range(5)], [True] * 5)
    assert found.through_text.all()
    assert found.correct.all()
