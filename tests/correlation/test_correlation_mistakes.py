"""Claims about events in what a model wrote, against slow readings of the same texts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from reference.parameter_facts import code_of

from igsm_pipeline.correlation.mistakes import find_mistakes, find_unnecessary, mistake_queries
from igsm_pipeline.correlation.written import WrittenDocuments
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.facts import parameter_of_code
from igsm_pipeline.queries.labels import exists, list_candidates
from igsm_pipeline.text import render_sentences, solution_sentences
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.world import load_world

FAMILY = FamilySettings(op_max=8, ip_max=12, modulus=7, op_law="uniform", split_by="problem")


@pytest.fixture(scope="module")
def batch():
    return generate_block(ProblemSetSettings(family=FAMILY, num_problems=40, block_size=40, seed=3, split="all"), load_world("mini"), 0)


@pytest.fixture(scope="module")
def table(batch):
    return build_table(batch.world, FAMILY.modulus, TokenSettings(segmentation="phrase"))


def _verdicts(**columns):
    num = len(columns["problem"])
    rest = {"correct": [False] * num, "sentence": [None] * num, "parameter": [None] * num, "unnecessary_parameters": [0] * num}
    types = {"problem": pa.int32(), "correct": pa.bool_(), "sentence": pa.int32(), "parameter": pa.string(), "unnecessary_parameters": pa.int32()}
    return pa.table({name: pa.array({**rest, **columns}[name], kind) for name, kind in types.items()})


def _reversed_texts(batch):
    """Each solution with its sentences in reverse: the query comes first, which is an early mistake wherever it has parents."""
    return [render_sentences(tuple(reversed(solution_sentences(problem)))) for problem in batch]


@pytest.mark.parametrize("problem_format", ["pq", "qp"])
def test_documents_of_the_generators_own_solutions_are_the_generators_documents(batch, table, problem_format):
    gold = GoldDocuments(batch, table, problem_format).take(np.arange(len(batch)))
    written = WrittenDocuments(batch, [gold.completion(i) for i in range(len(batch))], table, problem_format)
    rows = np.array([7, 0, 39])
    ours, theirs = written.take(rows), GoldDocuments(batch, table, problem_format).take(rows)
    for name in ("ids", "offsets", "prompt_ends", "problem_ends", "sentence_ends", "sentence_offsets"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_sentences_of_a_cut_solution_are_those_that_were_closed(batch, table):
    gold = GoldDocuments(batch, table, "pq").take(np.array([0, 1]))
    size = gold.sentences(0)[0] - gold.prompt_ends[0] - 1  # the completion up to the "." of its first sentence
    cut = WrittenDocuments(batch, [gold.completion(0)[:size], np.empty(0, np.uint32)], table, "pq").take(np.array([0, 1]))
    assert cut.sentence_offsets.tolist() == [0, 1, 1]
    assert cut.sentence_ends[0] == gold.sentences(0)[0] == cut.offsets[1] - 1


def test_the_first_wrong_parameter_is_found_with_what_stood_before_it(batch):
    rows, names, expected = [], [], []
    for row, problem in enumerate(batch):
        if len(problem.order) >= 3:
            rows.append(row)
            names.append(problem.name(problem.order[-2]))
            code, before = (code_of(batch.records[row], problem.order[k]) for k in (-2, -1))
            expected.append((row, 1, code, frozenset({before})))
    verdicts = _verdicts(problem=rows[::-1], sentence=[1] * len(rows), parameter=names[::-1])
    found = find_mistakes(batch, verdicts, _reversed_texts(batch))
    assert [(m.problem, m.sentence, m.parameter, m.known) for m in found] == expected
    assert len(found) > 10


def test_solutions_without_a_parameter_of_the_problem_are_no_events(batch):
    verdicts = _verdicts(problem=[0, 1, 2], sentence=[0, 0, None], parameter=[None, "Nobody's Nothing", None], correct=[False, False, True])
    assert find_mistakes(batch, verdicts, _reversed_texts(batch)) == []


def test_unnecessary_parameters_are_those_written_beside_the_necessary(batch):
    extra, texts = {}, []
    for row, problem in enumerate(batch):
        spare = [p for p in problem.instances if p not in problem.necessary]
        sentences = solution_sentences(problem)
        if spare and row % 2:
            extra[row] = frozenset({code_of(batch.records[row], spare[0])})
            sentences = (replace(sentences[0], name=problem.name(spare[0])), *sentences)
        texts.append(render_sentences(sentences))
    num = list(range(len(batch)))
    verdicts = _verdicts(problem=num, correct=[True] * len(num), unnecessary_parameters=[int(row in extra) for row in num])
    assert find_unnecessary(batch, verdicts, texts) == extra
    assert len(extra) > 5


@pytest.mark.parametrize("task", ["can_next", "nece_next"])
@pytest.mark.parametrize("candidates", ["existing", "all", "graph"])
def test_queries_at_a_mistake_are_labelled_by_what_the_model_wrote(batch, task, candidates):
    problems, texts = list(batch), _reversed_texts(batch)
    rows = [row for row, problem in enumerate(problems) if len(problem.order) >= 2]
    names = [problems[row].name(problems[row].order[-2]) for row in rows]
    mistakes = find_mistakes(batch, _verdicts(problem=rows, sentence=[1] * len(rows), parameter=names), texts)
    queries, event, groups = mistake_queries(batch, mistakes, task, candidates)
    asked = {row: set() for row in rows}
    for query, is_event, group in zip(queries.to_pylist(), event, groups, strict=True):
        problem, record = problems[query["problem"]], batch.records[query["problem"]]
        parameter, known = parameter_of_code(record, query["parameter"]), {problem.order[-1]}
        parents = problem.parents(parameter) if exists(problem, parameter) else ()
        label = parameter not in known and known.issuperset(parents) and (task == "can_next" or parameter in problem.necessary)
        assert query["label"] == label
        assert is_event == (parameter == problem.order[-2] and not label)
        missing = min(3, len(set(parents) - known))
        assert group == (-1 if parameter in known else 2 * missing + (parameter in problem.necessary))
        assert (query["position"], query["task"], query["parameter_b"]) == (1, task, 255)
        asked[query["problem"]].add(parameter)
    for row in rows:
        assert asked[row] == {*list_candidates(problems[row], candidates), problems[row].order[-2]}
    assert 0 < event.sum() <= len(rows)


def test_no_mistakes_make_no_queries(batch):
    queries, event, groups = mistake_queries(batch, [], "can_next", "existing")
    assert (len(queries), len(event), len(groups)) == (0, 0, 0)
