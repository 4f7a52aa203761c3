"""Retry upon regret equals a loop without cache and batch that reads everything anew for every token, whoever judges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from igsm_pipeline import seeding
from igsm_pipeline.activations.forward import freeze
from igsm_pipeline.model.decoding import complete
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.probes.v_probe import VProbe, fit_sizes
from igsm_pipeline.problems import FamilySettings, Problem, ProblemBatch, ProblemSetSettings, generate_block
from igsm_pipeline.problems.problem import Parameter
from igsm_pipeline.regret import decoder
from igsm_pipeline.regret.decoder import Marks, Retried, retry_upon_regret
from igsm_pipeline.regret.judges import ChanceJudge, Judge, ProbeJudge, TrueJudge
from igsm_pipeline.text.solution import HEAD
from igsm_pipeline.tokens import TokenSettings, TokenTable, build_table, emit
from igsm_pipeline.verification.token_path import TokenVerifier, joined
from igsm_pipeline.verification.verdict import Error
from igsm_pipeline.world import load_world

PUBLISHED = Path(__file__).parents[2] / "data" / "published" / "small"
FAMILY = FamilySettings(op_max=8, ip_max=6, modulus=5, num_symbols=10, format="qp", op_law="uniform", split_by="problem")
NUMBER, TRIES, LENGTH, SEED = 8, 3, 256, 4


@pytest.fixture(scope="module")
def batch() -> ProblemBatch:
    asked = ProblemSetSettings(family=FAMILY, law="exact", op=8, num_problems=NUMBER, block_size=NUMBER, seed=2, split="all")
    return generate_block(asked, load_world("mini"), 0)


@pytest.fixture(scope="module")
def table(batch: ProblemBatch) -> TokenTable:
    return build_table(batch.world, FAMILY.modulus, TokenSettings(segmentation="phrase", vocab="compact"))


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return freeze(load(PUBLISHED))


@pytest.fixture(scope="module")
def probe(model: PreTrainedModel) -> VProbe:
    """An update large enough to matter, and a head that regrets some names and not others."""
    made = VProbe(*fit_sizes(model), 2, 8, seed=3)
    torch.nn.init.normal_(made.rows, std=0.3, generator=torch.Generator().manual_seed(2))
    return made.requires_grad_(False)


@pytest.fixture(scope="module")
def prompts(batch: ProblemBatch, table: TokenTable) -> list[NDArray[np.uint32]]:
    emitted = emit(batch, table, FAMILY.format)
    return [emitted.prompt(index) for index in range(NUMBER)]


def slowly(
    model: PreTrainedModel, prompt: NDArray[Any], regrets: Callable[[list[int]], bool], marks: Marks, *, number: int, tries: int
) -> tuple[list[int], int, int]:
    """One solution, every token by a whole pass: its ids, retries and names judged."""
    ids, sentence, retries, asked, sampling = list[int](), 0, 0, 0, False
    draws = seeding.generator(SEED, "retry upon regret", number)
    while len(prompt) + len(ids) < LENGTH:
        logits = model(torch.tensor([[*prompt.tolist(), *ids]])).logits[0, -1]
        if sampling:
            reach = logits.double().softmax(-1).cumsum(-1)
            token = int((reach < draws.random() * reach[-1]).sum())
        else:
            token = int(logits.argmax())
        ids.append(token)
        if token == marks.eos:
            break
        if token in (marks.dot, marks.answer, marks.named):
            sampling = False
        if marks.answer in ids or len(prompt) + len(ids) >= LENGTH:
            continue
        if token == marks.dot:
            sentence = len(ids)
        if token == marks.named and retries < tries:
            asked += 1
            if regrets(ids):
                ids, sampling, retries = ids[:sentence], True, retries + 1
    return ids, retries, asked


def can_next(problem: Problem, known: set[Parameter], parameter: Parameter) -> bool:
    """By definition: not computed yet, but all that it is computed from."""
    return parameter not in known and set(problem.parents(parameter)) <= known


def retried(model: PreTrainedModel, prompts: list[NDArray[np.uint32]], judge: Judge, table: TokenTable, **more: Any) -> Retried:
    return retry_upon_regret(model, prompts, judge, Marks.of(table), **{"tries": TRIES, "max_length": LENGTH, "seed": SEED, **more})


def same(found: Retried, wanted: list[tuple[list[int], int, int]]) -> None:
    assert [ids.tolist() for ids in found.tokens] == [ids for ids, _, _ in wanted]
    assert found.retries.tolist() == [retries for _, retries, _ in wanted]
    assert found.asked.tolist() == [asked for _, _, asked in wanted]


@pytest.mark.parametrize("batch_size", [1, 3, NUMBER])
def test_with_a_probe_it_equals_whole_passes_with_the_probes_embedding(
    model: PreTrainedModel, probe: VProbe, prompts: list[NDArray[np.uint32]], table: TokenTable, batch_size: int
) -> None:
    reports: list[int] = []
    found = retried(model, prompts, ProbeJudge(probe), table, batch_size=batch_size, progress=reports.append)

    def regrets(prompt: NDArray[np.uint32]) -> Callable[[list[int]], bool]:
        def judge(ids: list[int]) -> bool:
            whole = torch.tensor([[*prompt.tolist(), *ids]])
            embedded = model.get_input_embeddings()(whole) + probe.rows[whole] @ probe.directions
            state = model.base_model(inputs_embeds=embedded, use_cache=False).last_hidden_state[0, -1]
            said = state @ probe.weight.T + probe.bias
            return bool(said[0] > said[1])

        return judge

    with torch.inference_mode():
        wanted = [slowly(model, one, regrets(one), Marks.of(table), number=number, tries=TRIES) for number, one in enumerate(prompts)]
    same(found, wanted)
    assert 0 < found.retries.sum() < found.asked.sum(), "it regrets some names, not all"
    assert sum(reports) == NUMBER


def test_with_the_truth_it_equals_whole_passes_and_the_slow_answer(
    model: PreTrainedModel, batch: ProblemBatch, prompts: list[NDArray[np.uint32]], table: TokenTable
) -> None:
    found = retried(model, prompts, TrueJudge(batch, table), table, tries=20)

    def regrets(row: int) -> Callable[[list[int]], bool]:
        problem = batch[row]
        parameters = {problem.name(one): one for one in (*problem.instances, *problem.abstracts)}

        def judge(ids: list[int]) -> bool:
            text = table.decode(ids)
            known = {parameters[match["name"]] for match in HEAD.finditer(text) if match["name"] in parameters}
            name = text[text.rindex(" Define ") + len(" Define ") : -len(" as")]
            return name not in parameters or not can_next(problem, known, parameters[name])

        return judge

    with torch.inference_mode():
        wanted = [slowly(model, one, regrets(row), Marks.of(table), number=row, tries=20) for row, one in enumerate(prompts)]
    same(found, wanted)
    assert found.retries.sum() > 0, "the model names what it cannot compute, at eight operations"
    ids, offsets = joined(found.tokens)
    verdicts = TokenVerifier(batch, table).judge(ids, offsets, found.finished)
    errors = {verdicts[row].error for row in range(NUMBER) if found.retries[row] < 20}
    assert not errors & {Error.UNKNOWN_PARAMETER, Error.REDEFINED_PARAMETER}


def test_without_tries_or_regret_it_is_greedy_and_reads_every_token_once(
    model: PreTrainedModel, probe: VProbe, prompts: list[NDArray[np.uint32]], table: TokenTable
) -> None:
    greedy = complete(model, prompts, max_tokens=LENGTH, max_length=LENGTH, eos=table.eos)
    for judge, tries in ((ProbeJudge(probe), 0), (ChanceJudge(0.0, 1), 5)):
        found = retried(model, prompts, judge, table, tries=tries)
        assert [ids.tolist() for ids in found.tokens] == [ids.tolist() for ids in greedy.tokens]
        assert (found.finished == greedy.finished).all()
        assert (found.retries == 0).all()
        read = np.array([len(prompt) + len(ids) - 1 for prompt, ids in zip(prompts, found.tokens, strict=True)])
        assert (found.read == read * (2 if judge.probe is not None else 1)).all()


def test_the_draws_of_a_row_are_its_own_and_hang_on_the_seed(model: PreTrainedModel, prompts: list[NDArray[np.uint32]], table: TokenTable) -> None:
    always = [retried(model, prompts, ChanceJudge(1.0, 1), table, batch_size=size) for size in (1, NUMBER)]
    assert [ids.tolist() for ids in always[0].tokens] == [ids.tolist() for ids in always[1].tokens]
    assert (always[0].retries == TRIES).all(), "all tries are used up, and the last name stays"
    assert (always[0].asked == TRIES).all()
    seeds = [retried(model, prompts, ChanceJudge(0.5, 1), table, tries=40, seed=seed) for seed in (SEED, SEED + 1, SEED + 2)]
    assert len({str([ids.tolist() for ids in one.tokens]) for one in seeds}) > 1


def test_what_has_tries_left_comes_out_the_same_with_more(
    model: PreTrainedModel, probe: VProbe, prompts: list[NDArray[np.uint32]], table: TokenTable
) -> None:
    few, many = (retried(model, prompts, ProbeJudge(probe), table, tries=tries) for tries in (2, 9))
    left = np.flatnonzero(few.retries < 2)
    assert 0 < len(left) < NUMBER
    assert all(few.tokens[row].tolist() == many.tokens[row].tolist() for row in left)
    assert (few.read[left] == many.read[left]).all()
    others = np.flatnonzero(few.retries >= 2)
    alone = retried(model, [prompts[row] for row in others], ProbeJudge(probe), table, tries=9, numbers=others.tolist())
    assert [ids.tolist() for ids in alone.tokens] == [many.tokens[row].tolist() for row in others]
    assert (alone.retries == many.retries[others]).all()


def test_chance_regrets_the_share_that_it_is_told(table: TokenTable) -> None:
    judge = ChanceJudge(0.25, 7)
    judge.begin(range(50))
    kept = [np.array([table.dot], np.uint32)] * 50
    said = np.array([judge.regrets(range(50), kept, None) for _ in range(80)])
    assert abs(said.mean() - 0.25) < 0.03
    again = ChanceJudge(0.25, 7)
    again.begin([3])
    assert [bool(again.regrets([3], kept[:1], None)[0]) for _ in range(80)] == said[:, 3].tolist(), "a row's draws are its own"


def test_a_batch_that_does_not_fit_is_begun_again_with_half_as_many(
    model: PreTrainedModel, prompts: list[NDArray[np.uint32]], table: TokenTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, plain, sizes, told = retried(model, prompts, ChanceJudge(0.5, 1), table), decoder._Batch._judge, [], list[int]()

    def narrow(batch: decoder._Batch, places: list[int], states: torch.Tensor | None) -> None:
        plain(batch, places, states)
        if len(batch.rows) > NUMBER // 2:
            sizes.append(len(batch.rows))
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(decoder._Batch, "_judge", narrow)
    found = retried(model, prompts, ChanceJudge(0.5, 1), table, progress=told.append)
    assert [ids.tolist() for ids in found.tokens] == [ids.tolist() for ids in wanted.tokens], "draws begin anew, too"
    assert (found.retries == wanted.retries).all()
    assert sizes == [NUMBER]
    assert sum(told) == NUMBER
