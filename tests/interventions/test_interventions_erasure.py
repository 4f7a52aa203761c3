"""Erasure: labels are those of the slow route, states those of the model's own sentences, and the hook acts at every position or behind names."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from reference.few_problems import few_problems, write_few

from igsm_pipeline.activations.forward import freeze
from igsm_pipeline.experiments import find_member
from igsm_pipeline.interventions import erasure
from igsm_pipeline.interventions.checks import erased_is_chance
from igsm_pipeline.interventions.erasure import Cell, draw_named, make_cells, read_named, read_texts, solve_erased
from igsm_pipeline.interventions.leace import Eraser
from igsm_pipeline.interventions.residual import erased, erased_at, read_stream, sites
from igsm_pipeline.interventions.settings import NONE, RANDOM, ErasureSettings
from igsm_pipeline.interventions.stage import ERASED, READ_AGAIN
from igsm_pipeline.interventions.write_erasure import write_erasure
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.queries.facts import parameter_of_code
from igsm_pipeline.queries.labels import label_query
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.world import WorldSettings, load_world
from igsm_pipeline.world.write import write_world

PUBLISHED = Path(__file__).parents[2] / "data" / "published" / "small"
FAMILY = FamilySettings(op_max=5, ip_max=6, modulus=5, num_symbols=10, format="qp", op_law="uniform", split_by="problem")
PHRASE = TokenSettings(segmentation="phrase", vocab="compact")
TASKS: Any = ("nece", "can_next", "known")


@pytest.fixture(scope="module")
def made() -> Any:
    torch.set_num_threads(1)
    world = load_world("mini")
    batch = generate_block(ProblemSetSettings(family=FAMILY, law="exact", op=4, num_problems=24, block_size=24, stream="erasure"), world, 0)
    table = build_table(world, 5, PHRASE)
    named = draw_named(batch, table, FAMILY, (*TASKS, "value"), per_problem=6, seed=0, stream="erasure train")
    model = freeze(load(PUBLISHED))
    return SimpleNamespace(batch=batch, table=table, named=named, model=model, states=read_named(model, named, 3, max_tokens=4096))


def test_labels_are_those_of_the_slow_route(made: Any) -> None:
    problems = list(made.batch)
    for place, row in enumerate(made.named.tokens.queries.to_pylist()):
        parameter = parameter_of_code(made.batch.records[row["problem"]], row["parameter"])
        for task, label in made.named.labels.items():
            assert label[place] == label_query(problems[row["problem"]], task, row["position"], parameter), (task, row)
    assert all(len(np.unique(label)) > 1 for label in made.named.labels.values())


def own_sentence(made: Any, place: int) -> torch.Tensor:
    """Ids of the text that a query reads, alone: the problem, what is solved so far, and the sentence begun; (1, length)."""
    emitted = emit(made.batch, made.table, FAMILY.format)
    words = [made.table.fragment_ids(text).astype(np.int64) for text in (" Define", " as")]
    row = made.named.tokens.queries.slice(place, 1).to_pylist()[0]
    index, position = row["problem"], row["position"]
    (name, offsets), _ = made.named.tokens.names(np.array([place]))
    ends = emitted.sentence_ends[emitted.sentence_offsets[index] : emitted.sentence_offsets[index + 1]]
    prompt = emitted.prompt(index).astype(np.int64)
    tokens = emitted.ids[emitted.offsets[index] : emitted.offsets[index + 1]].astype(np.int64)
    text = prompt if position == 0 else np.r_[prompt[:1], tokens[: ends[position - 1] + 1]]
    return torch.from_numpy(np.r_[text, words[0], name[: offsets[1]].astype(np.int64), words[1]][None])


def test_states_are_those_behind_the_name_in_the_models_own_sentence(made: Any) -> None:
    for place in (0, 17, len(made.named.tokens) - 1):
        assert torch.allclose(made.states[place], read_stream(made.model, own_sentence(made, place))[3, 0, -1], atol=2e-5)


def test_states_of_texts_are_those_of_every_token_of_problem_and_solution(made: Any) -> None:
    emitted = emit(made.batch, made.table, FAMILY.format)
    texts = list(read_texts(made.model, made.named, 3, max_tokens=2048))
    assert len(texts) > 1
    found, wanted = torch.cat(texts), []
    for index in range(len(made.batch)):
        tokens = emitted.ids[emitted.offsets[index] : emitted.offsets[index + 1]].astype(np.int64)
        last = emitted.sentence_ends[emitted.sentence_offsets[index + 1] - 1]
        wanted.append(read_stream(made.model, torch.from_numpy(np.r_[emitted.prompt(index)[:1].astype(np.int64), tokens[: last + 1]][None]))[3, 0])
    every = torch.cat(wanted)
    assert len(found) == len(every)
    assert torch.allclose(found.double().mean(0), every.double().mean(0), atol=1e-4)
    assert torch.allclose(torch.cov(found.double().T), torch.cov(every.double().T), atol=1e-3)


def test_erasers_that_act_everywhere_move_all_states_little_and_leave_no_covariance_behind_names(made: Any) -> None:
    texts = torch.cat(list(read_texts(made.model, made.named, 3, max_tokens=4096)))
    acted = torch.cat([texts, made.states])
    cells = list(make_cells(made.states, made.named, 3, 5, draws=3, seed=0, texts=[texts]))
    for cell in cells:
        assert cell.token is None
        for states, told in ((acted, cell.moved), (made.states, cell.moved_names)):
            assert ((cell.eraser(states) - states).norm() / states.norm()).item() == pytest.approx(told, rel=1e-3)
        assert cell.moved < 0.2 * cell.rank**0.5, (cell.what, cell.moved)
    for cell in cells[:3]:
        kept, label = cell.eraser(made.states).double(), torch.from_numpy(made.named.labels[cell.what]).double()
        for states, low, high in ((made.states.double(), 1e-3, np.inf), (kept, 0, 1e-5)):
            covariance = ((states - states.mean(0)).T @ (label - label.mean()) / len(label)).norm().item()
            assert low <= covariance <= high, (cell.what, covariance)
    behind = [cell for cell in make_cells(made.states, made.named, 3, 5, draws=3, seed=0) if cell.what == RANDOM and cell.rank == 1]
    everywhere = [((cell.eraser(texts) - texts).norm() / texts.norm()).item() for cell in behind]
    assert min(everywhere) > 2 * max(cell.moved for cell in cells if cell.rank == 1), "why the whitening comes from all states"


@pytest.mark.parametrize("layer", [0, 3])
def test_an_eraser_behind_names_acts_where_the_token_is_read_and_nowhere_else(made: Any, layer: int) -> None:
    emitted = emit(made.batch, made.table, FAMILY.format)
    ids = torch.from_numpy(emitted.ids[: emitted.offsets[1]].astype(np.int64)[None])
    token = int(made.table.fragment_ids(" as")[0])
    here = ids[0] == token
    assert 0 < here.sum() < len(here) / 4
    plain = read_stream(made.model, ids)[layer, 0]
    with erased_at(made.model, layer, lambda states: states * 0.0, token):
        changed = read_stream(made.model, ids)[layer, 0]
    assert torch.equal(changed[here], torch.zeros_like(changed[here]))
    assert torch.equal(changed[~here], plain[~here])
    assert torch.equal(read_stream(made.model, ids)[layer, 0], plain)
    (cell, *_) = make_cells(made.states, made.named, 3, 5, draws=1, seed=0)
    assert (cell.token, cell.moved) == (token, cell.moved_names)
    with cell.acting(made.model):
        stream, states = read_stream(made.model, ids), read_named(made.model, made.named, 5, max_tokens=4096)
        alone = [read_stream(made.model, own_sentence(made, place))[5, 0, -1] for place in (0, 17)]
    plain = read_stream(made.model, ids)
    assert torch.equal(stream[3, 0, ~here], plain[3, 0, ~here])
    assert torch.allclose(stream[3, 0, here], cell.eraser(plain[3, 0, here]), atol=1e-5)
    assert not torch.allclose(stream[5, 0, here], plain[5, 0, here], atol=1e-3)
    assert torch.allclose(states[[0, 17]], torch.stack(alone), atol=1e-4), "read in a batch or alone"


def test_what_is_written_is_what_single_passes_over_the_whole_text_write(made: Any) -> None:
    cell = next(make_cells(made.states, made.named, 3, 5, draws=1, seed=0, texts=[made.states]))
    strong = Cell("nece", 3, 0, cell.eraser.__class__(cell.eraser.mean, torch.eye(64) * 0.4, 1))
    solved = solve_erased(made.model, strong, made.batch, made.table, FAMILY, max_length=256)
    plain = solve_erased(made.model, Cell(NONE, 0, 0, None), made.batch, made.table, FAMILY, max_length=256)
    assert not solved.same_as(plain).all()
    assert plain.same_as(plain).all()
    emitted = emit(made.batch, made.table, FAMILY.format)
    for index in range(3):
        ids = emitted.prompt(index).astype(np.int64)
        for token in solved.tokens[index][:12]:
            with erased(sites(made.model)[3], strong.eraser), torch.inference_mode():
                likeliest = int(made.model(input_ids=torch.from_numpy(ids[None]), use_cache=False).logits[0, -1].argmax())
            assert likeliest == token
            ids = np.append(ids, likeliest)


def folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("erasure")
    inputs = {"world": folder(home / "world"), "checkpoint": PUBLISHED}
    write_world(WorldSettings(source="mini"), {}, Writing(inputs["world"], False))
    for part, number in (("train", 60), ("asked", 16)):
        law: dict[str, Any] = {"law": "exact", "op": 4} if part == "asked" else {}
        inputs[f"problems:{part}"] = folder(home / part)
        asked = ProblemSetSettings(family=FAMILY, num_problems=number, block_size=number, stream=f"erasure {part}", **law)
        write_problem_set(asked, {"world": inputs["world"]}, Writing(inputs[f"problems:{part}"], False))
    writing = Writing(folder(home / "unit"), False)
    settings = ErasureSettings(family=FAMILY, tokens=PHRASE, tasks=("nece", "known"), layers=(2, 5), draws=2, max_tokens=256, num_resamples=100)
    write_erasure(settings, inputs, writing)
    behind = Writing(folder(home / "behind"), False)
    write_erasure(settings.model_copy(update={"at": "names", "layers": (2,)}), inputs, behind)
    return SimpleNamespace(
        behind=pq.read_table(behind.folder / ERASED.files).to_pylist(),
        folder=writing.folder,
        counts=writing.counts,
        solved=pq.read_table(writing.folder / ERASED.files),
        read=pq.read_table(writing.folder / READ_AGAIN.files),
    )


def test_every_concept_and_control_has_its_rows_on_the_same_problems(written: Any) -> None:
    assert (written.solved.schema, written.read.schema) == (ERASED.schema(), READ_AGAIN.schema())
    rows = written.solved.to_pylist()
    wanted = {("none", 0, 0)} | {(what, layer, draw) for layer in (2, 5) for what, draw in (("nece", 0), ("known", 0), ("random", 0), ("random", 1))}
    assert {(row["erased"], row["layer"], row["draw"]) for row in rows} == wanted
    assert {row["n"] for row in rows} == {16}
    (none,) = (row for row in rows if row["erased"] == "none")
    assert (none["gain"], none["kept"], none["rank"]) == (0.0, 1.0, 0)
    for row in rows:
        assert row["gain"] == pytest.approx(row["correct"] - none["correct"])
        assert (row["first_error"] is None) == (row["correct"] == 1.0)
        assert (row["acts"], 0 < row["moved"] < 0.3, row["moved_names"] > 0) == ("everywhere", row["erased"] != "none", row["erased"] != "none")
    (random, *_) = (row for row in written.behind if row["erased"] == "random")
    assert (random["acts"], random["moved"]) == ("names", random["moved_names"])
    assert written.behind[0]["correct"] == none["correct"]
    assert random["kept"] > max(row["kept"] for row in rows if row["erased"] == "random" and row["layer"] == 2), "less is changed behind names alone"
    read = written.read.to_pylist()
    own = {(row["erased"], row["layer"], row["task"]) for row in read if row["read_layer"] == row["layer"]}
    assert own == {(what, layer, task) for what in ("none", "nece", "known", "random") for layer in (2, 5) for task in ("nece", "known")}
    assert {row["read_layer"] for row in read} == {2, 5, 8}


def test_one_problem_at_a_layer_where_every_name_ends_alike_comes_to_its_end(written: Any, tmp_path: Path) -> None:
    inputs = {"world": folder(tmp_path / "world"), "checkpoint": PUBLISHED}
    write_world(WorldSettings(source="mini"), {}, Writing(inputs["world"], False))
    for part, number in (("train", 2), ("asked", 1)):
        inputs[f"problems:{part}"] = folder(tmp_path / part)
        asked = ProblemSetSettings(family=FAMILY, num_problems=number, block_size=number, stream=f"erasure {part}")
        write_problem_set(asked, {"world": inputs["world"]}, Writing(inputs[f"problems:{part}"], False))
    writing = Writing(folder(tmp_path / "unit"), False)
    write_erasure(ErasureSettings(family=FAMILY, tokens=PHRASE, layers=(0,), draws=1, max_tokens=256, num_resamples=100), inputs, writing)
    rows = pq.read_table(writing.folder / ERASED.files).to_pylist()
    assert [(row["erased"], row["rank"], row["kept"]) for row in rows] == [(what, 0, 1.0) for what in ("none", "nece", "can_next", "known")]


def test_its_check_sees_a_concept_that_is_still_there(written: Any, tmp_path: Path) -> None:
    unit = SimpleNamespace(settings={"family": {"modulus": 5}})
    for low, passes in ((0.54, True), (0.56, False)):
        rows = [
            row | ({"balanced_accuracy": low + 0.01, "balanced_accuracy_low": low} if row["erased"] == row["task"] and row["read_layer"] < 8 else {})
            for row in written.read.to_pylist()
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=READ_AGAIN.schema()), tmp_path / READ_AGAIN.files)
        outcome = erased_is_chance(SimpleNamespace(units=[unit], store=SimpleNamespace(path=lambda _: tmp_path)))  # type: ignore[arg-type]
        assert (outcome.passed, outcome.metadata) == (passes, {"cells": 4})


def test_a_member_has_it_only_if_it_asks_for_problems_and_no_other_unit_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    experiment: dict[str, Any] = few_problems(8) | {"erasure": {"problems": 0}}
    write_few(tmp_path, experiment)
    plain = units_of(find_member("few"))
    write_few(tmp_path, experiment | {"erasure": {"problems": 8, "fit_problems": 16, "layers": [0], "claim": "that it is used"}})
    more = units_of(find_member("few"))
    new = {(unit.stage, unit.name) for unit in more} - {(unit.stage, unit.name) for unit in plain}
    assert new == {("problem_sets", "erasure asked"), ("problem_sets", "erasure train"), ("erasure", "erasure")}
    kept = {(unit.stage, unit.name): unit.fingerprint for unit in plain if unit.stage != "report"}
    assert kept == {key: unit.fingerprint for unit in more if (key := (unit.stage, unit.name)) in kept}
    unit = next(unit for unit in more if unit.stage == "erasure")
    assert {str(role): source.name for role, source in unit.inputs.items() if source.stage == "problem_sets"} == {
        "problems:asked": "erasure asked",
        "problems:train": "erasure train",
    }
    assert unit.inputs[next(role for role in unit.inputs if str(role) == "problems:asked")].settings["split"] == "test"
    assert STAGES["erasure"].work(unit) > 0


@pytest.mark.parametrize("token", [None, 5])
def test_an_eraser_lies_where_the_model_does_before_it_acts(token: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    given = list[Eraser]()
    monkeypatch.setattr(erasure, "erased", lambda site, eraser: (given.append(eraser), nullcontext())[1])
    monkeypatch.setattr(erasure, "erased_at", lambda model, layer, eraser, token: (given.append(eraser), nullcontext())[1])
    with Cell("nece", 1, 0, Eraser(torch.zeros(4), torch.eye(4), 4), token).acting(load(PUBLISHED).to("meta")):
        (eraser,) = given
    assert (eraser.mean.device.type, eraser.removes.device.type) == ("meta", "meta")
