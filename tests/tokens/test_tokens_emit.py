"""Direct emission says what the plain renderer says, token by token."""

from __future__ import annotations

import numpy as np
import pytest
from reference.drawn_records import draw_batch
from reference.plain_text import document

from igsm_pipeline import text
from igsm_pipeline.errors import BadInput
from igsm_pipeline.problems.record import id_of
from igsm_pipeline.tokens import TokenSettings, build_table, emit, name_ids
from igsm_pipeline.tokens.fragments import SPECIALS
from igsm_pipeline.world import load_world

SEED = 7


@pytest.fixture(scope="module", params=[("mini", 5), ("mini", 23)], ids=str)
def batch(request):
    print("seed", SEED)
    world, modulus = request.param
    return draw_batch(load_world(world), modulus, 60, SEED)


@pytest.fixture(scope="module")
def table(batch):
    return build_table(batch.world, batch.modulus, TokenSettings(segmentation="phrase"))


def test_drawn_records_reach_every_wording(batch):
    everything = " ".join(document(problem, "pq") for problem in batch)
    for words in ("more than the difference", "times as much as the sum", ", each", "equals the difference", " equals each", "= 0 * ", " - "):
        assert words in everything
    assert max(problem.op for problem in batch) > 15


@pytest.mark.parametrize("form", ["pq", "qp"])
def test_both_renderers_agree(batch, form):
    for problem in batch:
        plain = document(problem, form)
        for name in SPECIALS:
            plain = plain.replace(name, "")
        assert "".join(text.document(problem, form)) == plain


@pytest.mark.parametrize("form", ["pq", "qp"])
def test_emitted_documents_are_the_plain_text(batch, table, form):
    emitted = emit(batch, table, form)
    assert len(emitted) == len(batch)
    for i, problem in enumerate(batch):
        assert table.decode(emitted.document(i), specials=True) == document(problem, form)


@pytest.mark.parametrize("form", ["pq", "qp"])
def test_encode_finds_the_same_ids_from_text(batch, table, form):
    emitted = emit(batch, table, form)
    for i, problem in enumerate(batch):
        np.testing.assert_array_equal(table.encode(document(problem, form)), emitted.document(i))


@pytest.mark.parametrize("form", ["pq", "qp"])
def test_read_positions_stand_where_the_text_says(batch, table, form):
    emitted = emit(batch, table, form)
    for i, problem in enumerate(batch):
        ids, texts = emitted.document(i), [table.decode([number], specials=True) for number in emitted.document(i)]
        solution = texts.index("<|solution|>")
        assert emitted.prompt_ends[i] == solution - 1
        assert emitted.problem_ends[i] == max(k for k in range(solution) if texts[k] == ".")
        assert emitted.sentences(i).tolist() == [k for k in range(solution, len(ids)) if texts[k] == "."]
        assert len(emitted.sentences(i)) == len(problem.order)


def test_prompt_and_completion_make_the_document(batch, table):
    emitted = emit(batch, table, "pq")
    for i in range(len(batch)):
        prompt = emitted.prompt(i)
        assert prompt[:2].tolist() == [table.eos, table.bos]
        assert prompt[-1] == table.solution
        np.testing.assert_array_equal(np.concatenate((prompt[1:], emitted.completion(i))), emitted.document(i))


def test_a_batch_larger_than_the_first_guess_is_emitted_whole(batch, table):
    longest = int(np.argmax(emit(batch, table, "pq").lengths))
    many = emit(batch.take(np.full(300, longest)), table, "pq")
    one = emit(batch.take(np.array([longest])), table, "pq")
    np.testing.assert_array_equal(many.ids.reshape(300, -1), np.tile(one.ids, (300, 1)))
    np.testing.assert_array_equal(many.sentence_ends.reshape(300, -1), np.tile(one.sentence_ends, (300, 1)))


def test_an_empty_batch_gives_no_tokens(batch, table):
    emitted = emit(batch.take(slice(0, 0)), table, "pq")
    assert len(emitted) == 0
    assert emitted.ids.size == 0
    assert emitted.offsets.tolist() == [0]


def test_a_batch_of_another_world_or_modulus_than_the_table_is_refused(batch):
    """A kernel would read names of the other world, or beyond the end of its tables."""
    others = [build_table(world, modulus, TokenSettings(segmentation="phrase")) for world, modulus in ((load_world("igsm"), 23), (batch.world, 7))]
    for other in others:
        with pytest.raises(
            BadInput, match=r"batch must be of the table's world \(\w{8}\) and modulus \(\d+\), got \('\w{8}', \d+\); build the table"
        ):
            emit(batch, other, "pq")
    with pytest.raises(BadInput, match=r"batch must be of the table's world \(\w{8}\), got '\w{8}'; build the table"):
        name_ids(batch, others[0], np.zeros(1, np.int64), np.zeros(1, np.int64))
    ids, _ = name_ids(batch, others[1], np.zeros(1, np.int64), np.zeros(1, np.int64))  # names hold no numbers
    assert len(ids) == 2


@pytest.mark.parametrize("form", ["text", "PQ", None, 1])
def test_a_format_that_is_none_is_refused(batch, table, form):
    with pytest.raises(BadInput, match="format must be pq or qp, got"):
        emit(batch, table, form)


def test_names_of_parameters_are_as_after_define(batch, table):
    rows, numbers, plain, names = [], [], [], []
    for i, problem in enumerate(batch):
        for parameter in (*problem.instances, *problem.abstracts):
            rows.append(i)
            numbers.append(id_of(batch.records[i], parameter))
            plain.append(parameter)
            names.append(" " + problem.name(parameter))
    for parameters in (np.array(numbers), np.array(plain)):
        ids, offsets = name_ids(batch, table, np.array(rows), parameters)
        assert [table.decode(ids[offsets[q] : offsets[q + 1]]) for q in range(len(rows))] == names


def test_names_of_pairs_without_an_edge(batch, table):
    row = batch.records[0]
    problem = batch[0]
    pairs = [(0, 0, j, k) for j in range(row["widths"][0]) for k in range(row["widths"][1])]
    ids, offsets = name_ids(batch, table, np.zeros(len(pairs), np.int64), np.array(pairs))
    expected = [f" {problem.items[0][j]}'s {problem.items[1][k]}" for _, _, j, k in pairs]
    assert [table.decode(ids[offsets[q] : offsets[q + 1]]) for q in range(len(pairs))] == expected
