"""Answers that say nothing of a model: one for each wording and place, or other queries'; and what a probe reads where no layer mixes tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from igsm_pipeline.activations.forward import SequenceBatch, embed, freeze
from igsm_pipeline.model.gpt2_rotary import build
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.probes.control_task import answers_of, control_answers, query_types
from igsm_pipeline.probes.settings import VProbeSettings
from igsm_pipeline.probes.v_probe import VProbe, load_probe, predict, save_probe
from igsm_pipeline.probes.v_training import train_v_probe
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import draw_queries
from igsm_pipeline.queries.facts import parameter_of_code
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.queries.tasks import TaskName
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.world import load_world

FAMILY = FamilySettings(op_max=3, ip_max=5, modulus=5, op_law="uniform", split_by="problem")
TOKENS = TokenSettings(segmentation="phrase")
CPU = torch.device("cpu")
SMALL = ModelSettings(layers=2, heads=2, head_width=16)


def asked(task: TaskName, *, number: int = 48, seed: int = 2, per_problem: int = 10) -> QueryTokens:
    world = load_world("mini")
    batch = generate_block(ProblemSetSettings(family=FAMILY, num_problems=number, block_size=number, seed=seed, split="all"), world, 0)
    (queries,) = draw_queries(batch, QuerySettings(family=FAMILY, task=task, per_problem=per_problem))
    table = build_table(world, FAMILY.modulus, TOKENS)
    return QueryTokens(batch, queries, GoldDocuments(batch, table, "pq"), table)


@pytest.mark.parametrize("task", ["can_next", "dep"])
def test_queries_are_of_one_type_if_names_and_position_are_equal(task: TaskName) -> None:
    tokens = asked(task)
    problems, said = list(tokens.batch), []
    for row in tokens.queries.to_pylist():
        names = []
        for column in ("parameter", "parameter_b"):
            code = row[column]
            record = tokens.batch.records[row["problem"]]
            names.append("" if code == 255 else problems[row["problem"]].name(parameter_of_code(record, code)))
        said.append((*names, row["position"]))
    types = query_types(tokens)
    same = dict(zip(types, said, strict=True))
    assert len(types) == len(tokens)
    assert len(set(types)) == len(set(said)) < len(said)
    assert [same[one] for one in types] == said


def test_a_type_has_one_answer_in_every_set_and_another_with_another_seed_or_task() -> None:
    first, second = (query_types(asked("can_next", seed=seed)) for seed in (2, 3))
    shares = np.array([0.7, 0.3])

    def taught(types: list[tuple[bytes, bytes, int]], **other: object) -> dict[tuple[bytes, bytes, int], int]:
        answers = control_answers(types, shares, **{"task": "can_next", "seed": 0, **other})  # type: ignore[arg-type]
        return dict(zip(types, answers.tolist(), strict=True))

    one, two = taught(first), taught(second)
    both = one.keys() & two.keys()
    assert len(both) > 20
    assert all(one[key] == two[key] for key in both)
    assert taught(first, seed=1) != one
    assert taught(first, task="known") != one


def test_answers_have_the_shares_that_are_asked_for() -> None:
    types = [(number.to_bytes(4, "little"), b"", 0) for number in range(4000)]
    answers = control_answers(types, np.array([0.1, 0.2, 0.7]), task="value", seed=4)
    assert np.bincount(answers) / 4000 == pytest.approx([0.1, 0.2, 0.7], abs=0.03)
    assert set(control_answers(types[:50], np.array([1.0, 0.0]), task="nece", seed=4)) == {0}


def test_permuted_answers_are_the_true_ones_of_other_queries() -> None:
    tokens = asked("value")
    other = answers_of("permuted", tokens, task="value", num_classes=6, seed=0)
    assert np.array_equal(np.sort(other.label), np.sort(tokens.label))
    assert (other.label != tokens.label).mean() > 0.2
    assert other.queries.drop(["label"]).equals(tokens.queries.drop(["label"]))
    assert answers_of("true", tokens, task="value", num_classes=6, seed=0) is tokens


def unmixed_by_hand(model: torch.nn.Module, tokens: QueryTokens, row: int) -> torch.Tensor:
    """Means over the text up to the read position and over the query, from a sequence of that query alone."""
    batch = SequenceBatch.of(tokens.pack(np.array([row])), CPU)
    text = int(batch.reads[0]) + 1
    embedded = embed(model, batch.ids)[0]
    query = embedded[(batch.branch[0] == 0)]
    return torch.cat([embedded[:text].mean(0), query.mean(0), torch.tensor([float(text)]).log()])


@pytest.mark.parametrize("task", ["can_next", "dep"])
@torch.inference_mode()
def test_without_layers_a_probe_reads_means_of_the_text_and_of_its_own_query(task: TaskName) -> None:
    tokens = asked(task, number=6)
    model = freeze(build(SMALL, tokens.table.size, 128, seed=1))
    batch = SequenceBatch.of(tokens.pack(np.arange(len(tokens))), CPU)
    probe = VProbe(tokens.table.size, 32, 2, 8, seed=0, layer=0)
    logits = probe(model, batch)
    for row in range(len(tokens)):
        wanted = probe.weight @ unmixed_by_hand(model, tokens, row) + probe.bias
        torch.testing.assert_close(logits[row], wanted, rtol=1e-4, atol=1e-4)


def test_without_layers_the_weights_of_the_layers_do_not_matter_and_the_probe_comes_back_from_disk(tmp_path: Path) -> None:
    tokens = asked("known")
    recipe = VProbeSettings.parse({"family": FAMILY, "tokens": TOKENS, "task": "known", "num_steps": 6, "batch_problems": 8, "layer": 0}, "test")
    model = freeze(build(SMALL, tokens.table.size, 128, seed=1))
    trained = train_v_probe(recipe, model, tokens, num_classes=2, folder=tmp_path / "state", device=CPU, label="test")
    save_probe(trained.probe, tmp_path / "probe", "known")
    said = predict(load_probe(tmp_path / "probe"), model, tokens, device=CPU, max_tokens=4096)
    with torch.no_grad():
        for layer in model.gpt_neox.layers:
            for weight in layer.parameters():
                weight.fill_(7.0)
    again = predict(trained.probe, model, tokens, device=CPU, max_tokens=4096)
    assert np.array_equal(said[0], again[0])
    assert np.array_equal(said[1], again[1])
