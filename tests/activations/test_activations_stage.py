"""The activation cache holds, once each, the states that a plain pass over the document and the query gives, for all tasks and at sentence ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from igsm_pipeline.activations import write as activation_stage
from igsm_pipeline.activations.cache import QUERY_KEY, CachedStates, query_keys
from igsm_pipeline.activations.computed import ComputedStates
from igsm_pipeline.activations.forward import num_layers_of
from igsm_pipeline.activations.settings import ActivationSettings
from igsm_pipeline.activations.write import write_activations
from igsm_pipeline.errors import StageFailed
from igsm_pipeline.model.gpt2_rotary import build, load, save
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, read_problems
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.queries.settings import QuerySetSettings
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.queries.write import read_queries, write_queries
from igsm_pipeline.store import Writing
from igsm_pipeline.text import render_problem as problem_text
from igsm_pipeline.text import render_question, render_sentences, solution_sentences
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.world import WorldSettings, load_world
from igsm_pipeline.world.write import write_world

FAMILY = FamilySettings(op_max=4, ip_max=6, modulus=5, op_law="uniform", split_by="problem")
TOKENS = TokenSettings(segmentation="phrase")
NUM = 12


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("activations")
    found = {name: home / name for name in ("world", "problems", "queries", "model")}
    for folder in found.values():
        folder.mkdir()
    write_world(WorldSettings(source="mini"), {}, Writing(found["world"], False))
    problems = ProblemSetSettings(family=FAMILY, num_problems=NUM, block_size=NUM, split="all", seed=3)
    write_problem_set(problems, found, Writing(found["problems"], False))
    write_queries(QuerySetSettings(family=FAMILY), found, Writing(found["queries"], False))
    size = build_table(load_world("mini"), FAMILY.modulus, TOKENS).size
    save(build(ModelSettings(layers=2, heads=2, head_width=16), size, 256, seed=5), found["model"])
    return found


def write(inputs: dict[str, Path], folder: Path, **other: object) -> Writing:
    folder.mkdir(exist_ok=True)
    writing = Writing(folder, False)
    write_activations(ActivationSettings.parse({"family": FAMILY, "tokens": TOKENS, "device": "cpu", **other}, "test"), inputs, writing)
    return writing


def test_every_query_of_every_task_finds_its_state_and_none_is_kept_twice(inputs: dict[str, Path], tmp_path: Path) -> None:
    writing = write(inputs, tmp_path / "cache")
    cache = CachedStates(writing.folder)
    assert cache.layers == [0, 1, 2]
    kept = pq.read_table(writing.folder / "queries-00000.parquet")
    keys = query_keys(kept)
    assert (np.diff(keys) > 0).all()
    asked = set()
    for task in TASKS:
        queries = read_queries(inputs["queries"], task)
        assert kept.take(pa.array(cache.rows_of(queries))).select(QUERY_KEY).to_pylist() == queries.select(QUERY_KEY).to_pylist()
        asked |= set(query_keys(queries).tolist())
    assert sorted(asked) == keys.tolist()
    assert writing.counts["queries"] == len(asked) < sum(len(read_queries(inputs["queries"], task)) for task in TASKS)


@pytest.mark.parametrize("max_tokens", [100_000, 400])
def test_states_at_sentence_ends_are_those_of_one_plain_pass_over_the_document(inputs: dict[str, Path], tmp_path: Path, max_tokens: int) -> None:
    writing = write(inputs, tmp_path / "cache", max_tokens=max_tokens)
    ends = pq.read_table(writing.folder / "sentences-00000.parquet").to_pylist()
    world = load_world("mini")
    batch, table = read_problems(inputs["problems"], world, FAMILY.modulus), build_table(world, FAMILY.modulus, TOKENS)
    model = load(inputs["model"])
    layer = num_layers_of(model)
    assert [(row["problem"], row["position"]) for row in ends] == [(n, t) for n, one in enumerate(batch) for t in range(len(one.order) + 1)]
    for number, problem in enumerate(batch):
        document = emit(batch.take(np.array([number])), table, "pq").document(0)
        ids = torch.from_numpy(np.append(np.uint32(table.eos), document).astype(np.int64))[None]
        with torch.inference_mode():
            states = model.gpt_neox(ids, use_cache=False).last_hidden_state[0]
        question = len(table.encode(problem_text(problem) + render_question(problem)))
        places = [1 + question]
        sentences = solution_sentences(problem)
        for t in range(1, len(sentences) + 1):  # [223] and the sentences so far, "." included; the last one ends the text
            text = render_sentences(sentences[:t])
            places.append(2 + question + len(table.encode(text)))
        for row in (row for row in ends if row["problem"] == number):
            np.testing.assert_allclose(row[f"layer_{layer}"], states[places[row["position"]]].half().numpy(), atol=2e-3)


def test_a_cache_in_several_files_holds_the_same_and_finished_files_are_kept(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = CachedStates(write(inputs, tmp_path / "whole").folder)
    monkeypatch.setattr(activation_stage, "PROBLEMS_PER_FILE", 5)
    folder = write(inputs, tmp_path / "parts").folder
    assert len(list(folder.glob("queries-*.parquet"))) == len(list(folder.glob("sentences-*.parquet"))) == 3
    parts = CachedStates(folder)
    for layer in whole.layers:
        np.testing.assert_allclose(parts.layer(layer), whole.layer(layer), atol=2e-3)
    (folder / "sentences-00001.parquet").unlink()
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    write(inputs, tmp_path / "parts")
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {name for name, time in after.items() if before.get(name) != time} == {"queries-00001.parquet", "sentences-00001.parquet"}


def test_queries_that_the_cache_lacks_are_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    cache = CachedStates(write(inputs, tmp_path / "cache", tasks=["nece"]).folder)
    with pytest.raises(StageFailed, match="rebuild the activation cache"):
        cache.rows_of(read_queries(inputs["queries"], "dep"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(StageFailed, match="got none"):
        CachedStates(tmp_path / "empty")


@pytest.mark.parametrize("most_bytes", [None, 1])
def test_states_that_are_not_kept_are_those_of_a_cache_to_the_bit_however_little_memory_there_is(
    inputs: dict[str, Path], tmp_path: Path, most_bytes: int | None
) -> None:
    cache = CachedStates(write(inputs, tmp_path / "cache").folder)
    computed = ComputedStates(ActivationSettings.parse({"family": FAMILY, "tokens": TOKENS, "device": "cpu"}, "test"), inputs, most_bytes)
    assert computed.layers == cache.layers
    assert (computed.at_once == 1) == (most_bytes == 1)
    for task in TASKS:
        queries = read_queries(inputs["queries"], task)
        assert np.array_equal(computed.rows_of(queries), cache.rows_of(queries))
    for layer in cache.layers:
        assert np.array_equal(computed.layer(layer), cache.layer(layer))
    assert not np.array_equal(cache.layer(1), cache.layer(2))
