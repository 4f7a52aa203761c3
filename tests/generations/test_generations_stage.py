"""generations.parquet holds a completion per problem, split where the answer marker stands; beams are a function of the seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from igsm_pipeline.generations.settings import GenerationSettings
from igsm_pipeline.generations.write import write_generations
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.beams import batches_of, complete_with_beams
from igsm_pipeline.model.decoding import ROWS, complete
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, family_by_name, generate, read_problems
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.world import load_world
from igsm_pipeline.world.settings import WorldSettings
from igsm_pipeline.world.write import write_world

FAMILY = FamilySettings(op_max=2, ip_max=4, modulus=5, op_law="uniform", split_by="problem")
PHRASE = TokenSettings(segmentation="phrase")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small world, nine problems and an untrained model."""
    root = tmp_path_factory.mktemp("inputs")
    folders = {name: root / name for name in ("world", "problems", "checkpoint")}
    for folder in folders.values():
        folder.mkdir()
    write_world(WorldSettings(source="mini"), {}, Writing(folders["world"], False))
    write_problem_set(ProblemSetSettings(family=FAMILY, num_problems=9, block_size=16), folders, Writing(folders["problems"], False))
    table = build_table(load_world(folders["world"] / "world.json"), FAMILY.modulus, PHRASE)
    model = gpt2_rotary.build(ModelSettings(layers=1, heads=2, head_width=16, partial_rotary_factor=0.5), table.size, 256, 3, eos=table.eos)
    gpt2_rotary.save(model, folders["checkpoint"])
    return folders


@pytest.mark.parametrize("beam", [1, 2])
def test_one_row_per_problem_within_the_context(inputs: dict[str, Path], tmp_path: Path, beam: int) -> None:
    settings = GenerationSettings(family=FAMILY, tokens=PHRASE, beam=beam, max_tokens=128, device="cpu")
    writing = Writing(tmp_path, False)
    write_generations(settings, inputs, writing)
    rows = pq.read_table(tmp_path / "generations.parquet")
    assert rows["problem"].to_pylist() == list(range(9))
    assert rows.column_names == ["problem", "prompt_tokens", "tokens", "finished", "solution", "answer", "text"]
    assert writing.counts["problems"] == 9
    world = load_world(inputs["world"] / "world.json")
    emitted = emit(read_problems(inputs["problems"], world, FAMILY.modulus), build_table(world, FAMILY.modulus, PHRASE), "pq")
    assert rows["prompt_tokens"].to_pylist() == [len(emitted.prompt(index)) for index in range(9)]
    totals = [p + len(ids) for p, ids in zip(rows["prompt_tokens"].to_pylist(), rows["tokens"].to_pylist(), strict=True)]
    assert max(totals) <= 128
    assert [total == 128 for total in totals] == [not done for done in rows["finished"].to_pylist()]


def test_a_temperature_draws_by_the_seed_and_a_unit_without_one_keeps_its_name(inputs: dict[str, Path], tmp_path: Path) -> None:
    plain = GenerationSettings(family=FAMILY, tokens=PHRASE, max_tokens=128, device="cpu")
    assert "temperature" not in plain.canonical()
    written = {}
    for name, changes in (
        ("greedy", {}),
        ("drawn", {"temperature": 1.5}),
        ("again", {"temperature": 1.5}),
        ("other", {"temperature": 1.5, "seed": 1}),
    ):
        (tmp_path / name).mkdir()
        write_generations(plain.model_copy(update=changes), inputs, Writing(tmp_path / name, False))
        written[name] = pq.read_table(tmp_path / name / "generations.parquet")["tokens"].to_pylist()
    assert written["drawn"] == written["again"]
    assert written["drawn"] != written["greedy"]
    assert written["drawn"] != written["other"]


def test_completions_split_at_the_answer_marker(inputs: dict[str, Path]) -> None:
    world = load_world(inputs["world"] / "world.json")
    table = build_table(world, FAMILY.modulus, PHRASE)
    completion = emit(read_problems(inputs["problems"], world, FAMILY.modulus), table, "pq").completion(0)
    solution, answer = table.decode_completion(completion)
    assert solution.startswith(" Define ")
    assert solution.endswith(".")
    assert answer is not None
    assert answer.strip().isdigit()
    assert table.decode_completion(completion[:-3]) == (solution, None)


def test_beams_are_a_function_of_the_seed(inputs: dict[str, Path]) -> None:
    model = gpt2_rotary.load(inputs["checkpoint"])
    prompts = [np.array([1, 2, 3]), np.array([4, 5]), np.array([6, 7, 8])]

    def write(seed: int) -> list[list[int]]:
        made = complete_with_beams(model, prompts, beams=3, max_length=20, eos=0, seed=seed)
        return [ids.tolist() for ids in made.tokens]

    assert write(1) == write(1)
    assert write(1) != write(2)
    assert write(1) != [ids.tolist() for ids in complete(model, prompts, max_tokens=20, max_length=20, eos=0).tokens]


@pytest.mark.parametrize("mixed", [False, True])
def test_prompts_of_any_lengths_get_what_they_get_alone(mixed: bool) -> None:
    model = gpt2_rotary.build(ModelSettings(layers=2, heads=2, head_width=16, partial_rotary_factor=0.5), 23, 128, 5, eos=0).eval()
    noise = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=noise) * 0.25)
    rng = np.random.default_rng(4)
    prompts = [rng.integers(1, 23, size) for size in rng.integers(2, 20, 60)]
    how = {"beams": 3, "max_length": 60, "eos": 0, "seed": 1, "sample": False}
    together = complete_with_beams(model, prompts, mixed_lengths=mixed, **how)
    alone = [complete_with_beams(model, [prompt], **how) for prompt in prompts]
    ended = [row for row in range(60) if together.finished[row] and alone[row].finished[0]]
    assert len(ended) > 15
    assert [together.tokens[row].tolist() for row in ended] == [alone[row].tokens[0].tolist() for row in ended]
    assert max(len(prompt) + len(ids) for prompt, ids in zip(prompts, together.tokens, strict=True)) <= 60


def test_a_prompt_without_room_for_a_token_has_no_completion_and_changes_no_other(inputs: dict[str, Path]) -> None:
    model, told = gpt2_rotary.load(inputs["checkpoint"]), list[int]()
    prompts = [np.arange(1, 1 + size) for size in (4, 10, 8, 3)]
    how = {"beams": 2, "max_length": 8, "eos": 0, "seed": 1}
    made = complete_with_beams(model, prompts, progress=told.append, **how)
    assert (
        [len(made.tokens[row]) for row in (1, 2)]
        == [0, 0]
        == [len(ids) for ids in complete(model, prompts[1:3], max_tokens=9, **{k: how[k] for k in ("max_length", "eos")}).tokens]
    )
    alone = complete_with_beams(model, [prompts[0], prompts[3]], **how)
    assert [made.tokens[row].tolist() for row in (0, 3)] == [ids.tolist() for ids in alone.tokens]
    assert [len(ids) for ids in complete_with_beams(model, prompts[1:3], **how).tokens] == [0, 0]
    assert sum(told) == len(prompts)


def test_beams_take_few_times_the_passes_of_greedy_for_problems_of_med() -> None:
    """Counted as if each completion were the reference: a batch takes as many passes as its longest."""
    batch = next(generate(ProblemSetSettings(family=family_by_name("med"), num_problems=2048, split="test"), load_world("igsm")))
    emitted = emit(batch, build_table(batch.world, batch.modulus, TokenSettings()), "pq")
    prompts = np.array([len(emitted.prompt(row)) for row in range(len(batch))])
    written = emitted.lengths - prompts
    order = np.argsort(prompts, kind="stable")
    greedy = sum(int(written[order[first : first + ROWS]].max()) for first in range(0, len(order), ROWS))
    mixed, equal = (sum(int(written[rows].max()) for rows in batches_of(prompts, mixed_lengths=way)) for way in (True, False))
    assert mixed <= 12 * greedy < equal
