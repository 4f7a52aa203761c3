"""Prefix sharing is exact: states and training gradients equal those of one plain pass per query."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from igsm_pipeline.activations.batches import split_into_passes
from igsm_pipeline.activations.forward import SequenceBatch, attention_mask, embed, end_states, final_states, freeze, layer_states
from igsm_pipeline.probes.v_probe import VProbe
from igsm_pipeline.problems import FamilySettings, ProblemBatch, ProblemSetSettings, generate_block
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import draw_queries
from igsm_pipeline.queries.facts import parameter_of_code
from igsm_pipeline.queries.sequences import PADDING, SHARED, QueryTokens, Wording
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.tokens import TokenSettings, TokenTable, build_table, emit
from igsm_pipeline.world import load_world

FAMILY = FamilySettings(op_max=9, ip_max=12, modulus=7, op_law="uniform", split_by="problem")


@pytest.fixture(scope="module")
def batch() -> ProblemBatch:
    return generate_block(ProblemSetSettings(family=FAMILY, num_problems=6, block_size=6, seed=5, split="all"), load_world("mini"), 0)


@pytest.fixture(scope="module")
def table(batch: ProblemBatch) -> TokenTable:
    return build_table(batch.world, FAMILY.modulus, TokenSettings(segmentation="phrase"))


@pytest.fixture(scope="module")
def model(table: TokenTable) -> GPTNeoXForCausalLM:
    torch.manual_seed(3)
    config = GPTNeoXConfig(
        vocab_size=table.size,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        hidden_act="gelu_new",
        use_parallel_residual=False,
        tie_word_embeddings=True,
        initializer_range=0.3,
        attn_implementation="sdpa",
    )
    return freeze(GPTNeoXForCausalLM(config))


def make_tokens(batch: ProblemBatch, table: TokenTable, task: str, format: Literal["pq", "qp"], per_problem: int = 12) -> QueryTokens:
    settings = QuerySettings.parse({"family": FAMILY, "task": task, "candidates": "all", "per_problem": per_problem}, "test")
    (queries,) = draw_queries(batch, settings)
    return QueryTokens(batch, queries, GoldDocuments(batch, table, format), table)


def separate_ids(batch: ProblemBatch, table: TokenTable, task: str, format: Literal["pq", "qp"], query: dict[str, int]) -> list[int]:
    """The sequence of one query by itself, made from text: the document's tokens up to the read position, then the markers around names."""
    number = query["problem"]
    problem, record = batch[number], batch.records[number]
    document = emit(batch.take(np.array([number])), table, format).document(0).tolist()
    solution = document.index(table.solution)
    if task == "dep":
        read = max(i for i, one in enumerate(document[:solution]) if one == table.dot)
    elif query["position"] == 0:
        read = solution - 1
    else:
        read = [i for i, one in enumerate(document) if i > solution and one == table.dot][query["position"] - 1]
    start, middle, end = table.probe_markers
    first = table.encode(" " + problem.name(parameter_of_code(record, query["parameter"]))).tolist()
    second = [middle, *table.encode(" " + problem.name(parameter_of_code(record, query["parameter_b"]))).tolist()] if task == "dep" else []
    return [table.eos, *document[: read + 1], start, *first, *second, end]


@pytest.mark.parametrize("format", ["pq", "qp"])
@pytest.mark.parametrize("task", TASKS)
def test_shared_states_equal_those_of_separate_passes(
    batch: ProblemBatch, table: TokenTable, model: GPTNeoXForCausalLM, task: str, format: Literal["pq", "qp"]
) -> None:
    tokens = make_tokens(batch, table, task, format)
    shared = SequenceBatch.of(tokens.pack(np.arange(len(tokens))), "cpu")
    final = final_states(model, shared, embed(model, shared.ids))[shared.rows, shared.ends]
    torch.testing.assert_close(end_states(model, shared, embed(model, shared.ids)), final, rtol=0, atol=1e-5)
    middle = layer_states(model, shared, (0, 2))
    scale = final.abs().max().item()
    assert scale > 0.5
    for q, query in enumerate(tokens.queries.to_pylist()):
        ids = torch.tensor([separate_ids(batch, table, task, format, query)])
        alone = model.gpt_neox(ids, use_cache=False, output_hidden_states=True)
        torch.testing.assert_close(final[q], alone.last_hidden_state[0, -1], rtol=0, atol=1e-5)
        for layer, states in middle.items():
            plain = alone.hidden_states[layer][0]
            bound = 1e-5 * max(1.0, plain.abs().max().item())  # states before the final norm grow with depth
            torch.testing.assert_close(states[shared.rows[q], shared.ends[q]], plain[-1], rtol=0, atol=bound)
            read = int(shared.reads[q])
            torch.testing.assert_close(states[shared.rows[q], read], plain[read], rtol=0, atol=bound)


@pytest.mark.parametrize("format", ["pq", "qp"])
@pytest.mark.parametrize("segmentation", ["phrase", "bpe"])
def test_queries_in_the_models_own_words_read_the_beginning_of_a_sentence(
    batch: ProblemBatch, segmentation: Literal["phrase", "bpe"], format: Literal["pq", "qp"]
) -> None:
    table = build_table(batch.world, FAMILY.modulus, TokenSettings(segmentation=segmentation))
    marked = make_tokens(batch, table, "can_next", format)
    tokens = QueryTokens(batch, marked.queries, marked.documents, table, Wording.own(table))
    assert tokens.with_labels(tokens.label).markers == ()
    packed = tokens.pack(np.arange(len(tokens)))
    assert set(tokens.position.tolist()) > {0, 1}
    for q, query in enumerate(tokens.queries.to_pylist()):
        row, read, end = packed.rows[q], packed.reads[q], packed.ends[q]
        problem = batch[query["problem"]]
        name = problem.name(parameter_of_code(batch.records[query["problem"]], query["parameter"]))
        own = packed.ids[row][packed.branch[row] == packed.branch[row, end]]
        assert own.tolist() == [*table.fragment_ids(" Define"), *table.encode(f" {name}"), *table.fragment_ids(" as")]
        assert packed.ids[row, read] == (table.solution if query["position"] == 0 else table.dot)
        solution = packed.ids[row, : read + 1].tolist()
        assert solution[solution.index(table.solution) :].count(table.dot) == query["position"]
        assert packed.positions[row][packed.branch[row] == packed.branch[row, end]].tolist() == list(range(read + 1, read + 1 + len(own)))
        assert (packed.limit[row][packed.branch[row] == packed.branch[row, end]] == read).all()


@pytest.mark.parametrize("format", ["pq", "qp"])
@pytest.mark.parametrize("task", TASKS)
def test_a_training_step_has_the_gradient_of_separate_passes(
    batch: ProblemBatch, table: TokenTable, model: GPTNeoXForCausalLM, task: str, format: Literal["pq", "qp"]
) -> None:
    tokens = make_tokens(batch, table, task, format)
    classes = FAMILY.modulus + 1 if task == "value" else 2
    labels = torch.from_numpy(tokens.label)

    def gradients(logits: torch.Tensor, probe: VProbe) -> list[torch.Tensor]:
        return list(torch.autograd.grad(torch.nn.functional.cross_entropy(logits, labels), list(probe.parameters())))

    probe = VProbe(table.size, 32, classes, 8, seed=1)
    torch.nn.init.normal_(probe.rows, std=0.1, generator=torch.Generator().manual_seed(2))
    together = gradients(probe(model, SequenceBatch.of(tokens.pack(np.arange(len(tokens))), "cpu")), probe)
    logits = []
    for query in tokens.queries.to_pylist():
        ids = torch.tensor([separate_ids(batch, table, task, format, query)])
        embedded = model.gpt_neox.embed_in(ids) + probe.rows[ids] @ probe.directions
        logits.append(model.gpt_neox(inputs_embeds=embedded, use_cache=False).last_hidden_state[0, -1] @ probe.weight.T + probe.bias)
    apart = gradients(torch.stack(logits), probe)
    for one, other in zip(together, apart, strict=True):
        assert other.abs().max() > 1e-4
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_mask_lets_nothing_leak(batch: ProblemBatch, table: TokenTable) -> None:
    tokens = make_tokens(batch, table, "value", "pq")
    packed = tokens.pack(np.arange(len(tokens)))
    mask = attention_mask(torch.from_numpy(packed.branch), torch.from_numpy(packed.limit))[:, 0].numpy()
    number, length = packed.ids.shape
    assert (packed.branch == PADDING).any()
    for row in range(number):
        for i in range(length):
            seen = set(np.flatnonzero(mask[row, i]).tolist())
            own = packed.branch[row, i]
            if own == SHARED:
                assert seen == set(range(i + 1))
            else:
                start = int(np.argmax(packed.branch[row] == own))
                prefix = set() if own == PADDING else set(range(int(packed.limit[row, i]) + 1))
                assert seen == prefix | set(range(start, i + 1))


def test_every_query_comes_in_one_pass_whatever_the_budget(batch: ProblemBatch, table: TokenTable) -> None:
    tokens = make_tokens(batch, table, "value", "pq")
    for budget in (1, 150, 400, 10**6):
        passes = list(split_into_passes(tokens, np.arange(len(tokens.problems)), budget))
        assert sorted(np.concatenate(passes).tolist()) == list(range(len(tokens)))
        for rows in passes:
            assert tokens.pack(rows).ids.size <= budget or len(rows) == 1


def test_lengths_are_those_of_the_packed_rows(batch: ProblemBatch, table: TokenTable) -> None:
    for task in TASKS:
        tokens = make_tokens(batch, table, task, "qp")
        packed = tokens.pack(np.arange(len(tokens)))
        assert np.array_equal((packed.branch != PADDING).sum(1), tokens.lengths(block=4))
