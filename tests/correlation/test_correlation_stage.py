"""The stage error_correlation, whole, on a small random model whose solutions are made by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from igsm_pipeline.correlation import write
from igsm_pipeline.correlation.predictor import PREDICTOR_SCHEMA
from igsm_pipeline.correlation.rates import CORRELATION_SCHEMA
from igsm_pipeline.correlation.settings import CorrelationSettings
from igsm_pipeline.correlation.stage import EVENTS
from igsm_pipeline.correlation.write import _ProbedModel, write_correlation
from igsm_pipeline.experiments.slices import slice_set
from igsm_pipeline.model.gpt2_rotary import build, save
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.probes.v_probe import VProbe, fit_sizes, predict, save_probe
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, read_problems
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.store import Writing
from igsm_pipeline.text import render_sentences, solution_sentences
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.world import load_world
from igsm_pipeline.world.settings import WorldSettings
from igsm_pipeline.world.write import write_world

FAMILY = FamilySettings(op_max=5, ip_max=8, modulus=5, op_law="uniform", split_by="problem")
TOKENS = TokenSettings(segmentation="phrase")
NUM = 24


def _folder(path):
    path.mkdir(parents=True)
    return Writing(path, resumed=False)


def _slice(home, inputs, part, *, reverse):
    """A slice whose even problems are solved right (with one parameter too many where there is one) and whose odd ones, maybe, backwards."""
    settings = ProblemSetSettings(family=FAMILY, num_problems=NUM, block_size=NUM, split="test", stream=part)
    writing = _folder(home / f"problems {part}")
    write_problem_set(settings, inputs, writing)
    world = load_world("mini")
    batch, table = read_problems(writing.folder, world, FAMILY.modulus), build_table(world, FAMILY.modulus, TOKENS)
    generations, verdicts = [], []
    for row, problem in enumerate(batch):
        sentences, wrong = solution_sentences(problem), reverse and row % 2 == 1 and len(problem.order) > 1
        spare = [p for p in problem.instances if p not in problem.necessary]
        extra = int(bool(spare) and not wrong)
        if wrong:
            sentences = tuple(reversed(sentences))
        elif extra:  # as the model would write it, but for its numbers, which nothing here reads
            sentences = (type(sentences[0])(problem.name(spare[0]), "z", sentences[0].steps), *sentences)
        text = render_sentences(sentences)
        generations.append({"problem": row, "tokens": table.encode(text).tolist(), "text": text, "finished": True})
        verdict = {"sentence": 0, "parameter": problem.name(problem.query)} if wrong else {"sentence": None, "parameter": None}
        verdicts.append({"problem": row, "op": problem.op, "correct": not wrong, "unnecessary_parameters": extra, **verdict})
    types = [("problem", pa.int32()), ("tokens", pa.list_(pa.uint32())), ("text", pa.string()), ("finished", pa.bool_())]
    pq.write_table(pa.Table.from_pylist(generations, schema=pa.schema(types)), _folder(home / f"generations {part}").folder / "generations.parquet")
    pq.write_table(pa.Table.from_pylist(verdicts), _folder(home / f"verdicts {part}").folder / "verdicts.parquet")
    inputs |= {f"{kind}:{part}": home / f"{kind} {part}" for kind in ("problems", "generations", "verdicts")}
    return sum(not v["correct"] for v in verdicts), sum(v["unnecessary_parameters"] for v in verdicts)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = tmp_path_factory.mktemp("correlation")
    inputs = {"world": home / "world", "checkpoint": home / "checkpoint"}
    write_world(WorldSettings(source="mini"), {}, _folder(home / "world"))
    size = build_table(load_world("mini"), FAMILY.modulus, TOKENS).size
    model = build(ModelSettings(layers=1, heads=2, head_width=16), size, 512, seed=1)
    save(model, home / "checkpoint")
    for task in ("nece", "can_next", "nece_next"):
        save_probe(VProbe(*fit_sizes(model), 2, 2, seed=4), home / task, task)
        inputs[f"v_probes:{task}"] = home / task
    counts = {part: _slice(home, inputs, part, reverse=part == "op<=max") for part in ("op<=max", "reask")}
    return home, inputs, counts


def _run(home, inputs, name):
    writing = _folder(home / name)
    settings = CorrelationSettings(family=FAMILY, tokens=TOKENS, min_events=3, num_resamples=100, device="cpu")
    write_correlation(settings, inputs, writing)
    return {path.stem: pq.read_table(path) for path in writing.folder.glob("*.parquet")}, writing.counts


def test_every_solution_that_went_wrong_or_too_far_is_an_event(made):
    home, inputs, counts = made
    tables, written = _run(home, inputs, "first")
    assert tables["correlation"].schema == CORRELATION_SCHEMA
    assert tables["events"].schema == EVENTS.schema()
    rows = {(row["figure"], row["task"], row["slice"]): row for row in tables["correlation"].to_pylist()}
    for part, (wrong, extra) in counts.items():
        assert (rows["a", "nece", part]["solutions"], rows["a", "nece", part]["n"]) == (extra, extra)
        for task in ("can_next", "nece_next"):
            assert (rows["b", task, part]["solutions"], rows["b", task, part]["n"]) == (wrong, wrong)
    assert counts["op<=max"][0] >= 3
    assert min(extra for _, extra in counts.values()) >= 3
    assert (rows["b", "can_next", "reask"]["n"], rows["b", "can_next", "reask"]["rate"]) == (0, None)
    assert written["events"] == len(tables["events"]) == sum(row["n"] for row in rows.values() if row["slice"] != "all")
    said = [row["prediction"] for row in tables["events"].to_pylist() if (row["task"], row["slice"]) == ("nece", "reask")]
    assert rows["a", "nece", "reask"]["rate"] == pytest.approx(np.mean(said))


def test_the_predictor_reports_every_slice_and_all_together(made):
    home, inputs, counts = made
    tables, _ = _run(home, inputs, "second")
    assert tables["mistake_predictor"].schema == PREDICTOR_SCHEMA
    rows = {(row["target"], row["slice"]): row for row in tables["mistake_predictor"].to_pylist() if row["features"] == "probes"}
    assert {part for _, part in rows} == {"op<=max", "reask", "all"}
    assert (rows["wrong", "op<=max"]["n"], rows["wrong", "op<=max"]["positives"]) == (NUM, counts["op<=max"][0])
    assert rows["wrong", "op<=max"]["auroc"] is not None
    assert rows["wrong", "reask"]["auroc"] is None
    assert rows["redundant", "all"]["n"] == 2 * NUM - counts["op<=max"][0]


def test_reask_holds_the_problems_of_the_slice_that_it_asks_differently(made, tmp_path):
    _, inputs, _ = made
    slices, numbers = ("op<=max", "op=max+1", "reask"), {}
    asked = _ProbedModel(CorrelationSettings(family=FAMILY, tokens=TOKENS, device="cpu"), inputs)
    for part in slices:
        writing = _folder(tmp_path / part)
        write_problem_set(slice_set(part, slices, FAMILY, num_problems=NUM, per_op=1, seed=3), inputs, writing)
        numbers[part] = asked.number(read_problems(writing.folder, load_world("mini"), FAMILY.modulus)).tolist()
    assert numbers["op<=max"] == list(range(NUM))
    assert numbers["reask"] == numbers["op=max+1"] == list(range(NUM, 2 * NUM))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_probes_are_asked_in_the_precision_of_the_settings(made, tmp_path, monkeypatch, precision):
    _, inputs, _ = made
    asked = []
    monkeypatch.setattr(write, "predict", lambda *given, **how: asked.append(how["bf16"]) or predict(*given, **how))
    settings = CorrelationSettings(family=FAMILY, tokens=TOKENS, min_events=3, num_resamples=100, device="cpu", precision=precision)
    write_correlation(settings, inputs, _folder(tmp_path / "out"))
    assert set(asked) == {precision == "bf16"}


def test_the_same_inputs_give_the_same_tables(made):
    home, inputs, _ = made
    first, second = (_run(home, inputs, name)[0] for name in ("third", "fourth"))
    assert first == second


def test_missing_probes_leave_out_what_they_would_answer(made):
    home, inputs, _ = made
    fewer = {role: folder for role, folder in inputs.items() if not role.startswith("v_probes") or role.endswith("can_next")}
    fewer.pop("v_probes:nece_next", None)
    tables, _ = _run(home, fewer, "fifth")
    assert set(tables["correlation"]["task"].to_pylist()) == {"can_next"}
    assert len(tables["mistake_predictor"]) == 0
