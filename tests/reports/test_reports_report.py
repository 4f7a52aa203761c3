"""The report of a small invented member: what must stand in it, and that it loads nothing from elsewhere."""

import csv
import io
import json
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from igsm_pipeline.probes.scoring import METRICS_SCHEMA, score_distances, score_predictions
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.reports.findings import Findings, Source
from igsm_pipeline.reports.page import foreign_references
from igsm_pipeline.reports.results import Results
from igsm_pipeline.reports.sections.opening import what_was_trained
from igsm_pipeline.reports.settings import ReportSettings
from igsm_pipeline.reports.write import write_report
from igsm_pipeline.store import Store, Unit, Writing
from igsm_pipeline.text import render_answer, render_solution
from igsm_pipeline.world import WorldSettings, load_world
from igsm_pipeline.world.write import write_world

FAMILY = FamilySettings(op_max=3, ip_max=5, modulus=5, op_law="uniform", split_by="problem")
SETS = ProblemSetSettings(family=FAMILY, balanced=True, split="test", num_problems=30, block_size=30, seed=7)
WRONG = 4


@pytest.fixture(scope="module")
def member(tmp_path_factory):
    """role -> folder of a member whose model solves all but four of thirty problems."""
    store = Store(tmp_path_factory.mktemp("store"))
    inputs: dict[str, Path] = {}

    def add(stage, name, settings, sources, write):
        unit = Unit(stage, name, 1, settings, sources)
        with store.write(unit) as writing:
            write(writing)
        inputs[f"{stage}/{name}"] = store.path(unit)
        return unit

    world_settings = WorldSettings(source="mini")
    world = add("world", "world", world_settings.canonical(), {}, lambda writing: write_world(world_settings, {}, writing))
    roles = {"world": store.path(world)}
    problems = add("problem_sets", "op<=max", SETS.canonical(), {"world": world}, lambda writing: write_problem_set(SETS, roles, writing))
    batch = next(iter(generate(SETS, load_world("mini"))))
    add("checkpoint", "checkpoint", {}, {}, _write_metrics)
    add("generations", "op<=max beam 1", {}, {"problems": problems}, lambda writing: _write_generations(writing, batch))
    add("verdicts", "op<=max beam 1", {}, {"problems": problems}, lambda writing: _write_verdicts(writing, batch))
    add("probe_scores", "op<=max", {}, {"problems": problems}, lambda writing: _write_probes(writing, batch))
    return inputs


def _write_metrics(writing):
    rows = [
        {"step": 10, "loss": 2.0},
        {"step": 10, "accuracy": {"1": [1, 2], "3": [0, 2]}, "slices": {"reask": [1, 2]}},
        {"step": 20, "loss": 1.0, "lr": 0.1},
    ]
    rows.append({"step": 20, "warning": "accuracy stayed at 1% while the loss fell"})
    (writing.folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    writing.counts.update(parameters=5000, tokens=2_000_000)


def _write_generations(writing, batch):
    texts = [render_solution(problem) + render_answer(problem) for problem in batch]
    table = pa.table({"problem": pa.array(range(len(texts)), pa.int32()), "finished": [True] * len(texts), "text": texts})
    pq.write_table(table, writing.folder / "generations.parquet")


def _write_verdicts(writing, batch):
    correct = [row >= WRONG for row in range(len(batch))]
    rows = [
        {
            "problem": row, "op": problem.op, "correct": right, "error": None if right else "wrong_value", "sentence": None if right else 0,
            "parameter": None if right else problem.name(problem.order[0]), "final_answer_correct": right, "unnecessary_parameters": 0,
            "unnecessary_operations": 0, "finished": True, "completion_tokens": 10,
        }
        for row, (problem, right) in enumerate(zip(batch, correct, strict=True))
    ]  # fmt: skip
    schema = pa.schema([("problem", pa.int32()), ("error", pa.string()), ("parameter", pa.string()), ("sentence", pa.int32())])
    table = pa.Table.from_pylist(rows)
    for field in schema:
        table = table.set_column(table.column_names.index(field.name), field, table[field.name].cast(field.type))
    pq.write_table(table, writing.folder / "verdicts.parquet")


def _write_probes(writing, batch):
    random = np.random.Generator(np.random.PCG64(3))
    rows = [
        {
            "problem": row, "task": "nece", "position": 0, "parameter": code, "parameter_b": 255, "label": label, "probe": probe, "layer": None,
            "prediction": label if random.random() < share else 1 - label, "score": 0.5, "slice": "op<=max", "op": problem.op,
            "necessary": bool(label), "distance": 1 if label else None,
        }
        for probe, share in (("v_probe", 0.95), ("random", 0.6))
        for row, problem in enumerate(batch)
        for code, label in ((0, int(problem.instances[0] in problem.necessary)),)
    ]  # fmt: skip
    schema = pa.schema([("layer", pa.int32()), ("distance", pa.int32())])
    table = pa.Table.from_pylist(rows)
    for field in schema:
        table = table.set_column(table.column_names.index(field.name), field, table[field.name].cast(field.type))
    scores = score_predictions(table, modulus=5, candidates="existing", num_resamples=100)
    assert scores.schema.equals(METRICS_SCHEMA)
    pq.write_table(table, writing.folder / "predictions.parquet")
    pq.write_table(scores, writing.folder / "metrics.parquet")
    pq.write_table(score_distances(table, num_resamples=100), writing.folder / "distances.parquet")


@pytest.fixture(scope="module")
def report(member, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    writing = Writing(folder, resumed=False)
    write_report(ReportSettings(member="invented"), member, writing)
    return folder


def test_the_page_loads_nothing_from_elsewhere(report):
    assert foreign_references((report / "report.html").read_text()) == []


def test_a_reference_to_elsewhere_is_found():
    assert foreign_references('<img src="https://example.org/a.png"><p>see https://example.org</p>') == ["https://example.org/a.png"]


def test_the_first_screen_says_what_was_trained_and_three_numbers_with_n_interval_and_the_papers(report):
    opening = (report / "report.html").read_text().partition("<nav")[0]
    assert "A language model of 5 thousand weights, trained from scratch on 2 million tokens" in opening
    assert "86.7 %" in opening
    assert "95% interval 70.3 to 94.7, n = 30" in opening  # 26 of 30; Wilson's interval, worked out by hand
    assert "The paper&#x27;s model: 99.9 %" in opening
    assert opening.count('class="card"') == 3
    assert opening.count("data-chart=") == 2
    assert "✓ every step right" in opening


@pytest.mark.parametrize(("layers", "start"), [(4, "A 4-layer"), (8, "An 8-layer"), (12, "A 12-layer"), (18, "An 18-layer")])
def test_the_title_has_the_right_article(layers, start):
    manifest = {"settings": {"model": {"layers": layers}}, "counts": {"parameters": 408_000}}
    results = Results(ReportSettings(member="invented"), Findings((Source("checkpoint", "checkpoint", Path(), manifest),)))
    assert what_was_trained(results).startswith(f"{start} language model of 408 thousand weights")


@pytest.mark.parametrize(
    ("stage", "settings", "with_them"),
    [
        ("checkpoint", {"stream": {"drills": {"share": 0.1}}}, True),
        ("checkpoint", {"stream": {"drills": {"share": 0.0, "lead": 1, "seed": 0}}}, True),
        ("checkpoint", {"stream": {"drills": {"share": 0.0, "lead": 0, "seed": 1}}}, False),
        ("checkpoint", {"stream": {"window": 256}}, False),
        ("checkpoint", {"stream": None}, False),
        ("token_shards", {"drills": {"share": 0.1}}, True),
        ("token_shards", {"window": 256}, False),
    ],
)
def test_the_title_says_whether_drills_were_read(stage, settings, with_them):
    sources = {"checkpoint": {}} | {stage: settings}
    found = (Source(name, name, Path(), {"settings": one, "counts": {"parameters": 408_000}}) for name, one in sources.items())
    title = what_was_trained(Results(ReportSettings(member="invented"), Findings(tuple(found))))
    assert title.endswith("stories, and drills without a story" if with_them else "stories")


def test_results_come_first_and_provenance_last(report):
    text = (report / "report.html").read_text()
    titles = re.findall(r"<h2 id=[^>]*>([^<]*)</h2>", text)
    assert titles == [
        "Does it solve?", "Does it plan?", "What does it know, and is that the model or the probe?", "Problems worked through", "How it learned",
        "The problems", "What is not shown", "Where the numbers come from",
    ]  # fmt: skip
    assert "igsm run invented" in text.partition("Where the numbers come from</h2>")[2]


def test_what_has_no_data_is_listed_once_with_the_reason_and_not_drawn(report):
    text = (report / "report.html").read_text()
    shown = text.partition("What is not shown</h2>")
    for what, why in (
        ("Do mistakes show first?", "mistakes have not been compared with probes"),
        ("Beyond what it was taught?", "no slice is longer"),
        ("Where in the network?", "no probe has been scored by layer and distance"),
        ("The player of solutions and beliefs", "no V-probe has been trained"),
        ("Figure 4: unnecessary operations and quantities", "none of 26 correct solutions has any"),
    ):
        assert what not in shown[0]
        assert shown[2].count(what) == 1
        assert why in shown[2]


def test_a_wrong_solution_is_shown_with_its_first_error(report):
    assert "First error: wrong formula (wrong_value), in sentence 1." in (report / "report.html").read_text()


def test_watched_slices_are_curves_and_warnings_are_said(report):
    assert "reask" in (report / "figures" / "training.svg").read_text()
    assert "Step 20: accuracy stayed at 1% while the loss fell" in (report / "report.html").read_text()


def test_each_table_can_be_saved_as_a_file_that_holds_its_numbers(report):
    text = (report / "report.html").read_text()
    links = dict(re.findall(r'<a download="([^"]*)" href="data:text/csv;charset=utf-8,([^"]*)"', text))
    assert len(links) == text.count("<details>")
    (row,) = csv.DictReader(io.StringIO(unquote(links["accuracy.csv"])))
    assert (row["slice"], row["n"], row["paper_percent"]) == ("op<=max", "30", "99.9")
    assert [float(row[name]) for name in ("correct", "correct_low", "correct_high")] == pytest.approx([26 / 30, 0.7032, 0.9469], abs=1e-4)


def test_charts_are_live_where_scripts_run_and_drawn_where_none_do(report):
    text = (report / "report.html").read_text()
    live = json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', text)[1])
    places = re.findall(r'data-chart="([^"]*)" data-words="[^"]+"><svg role="img"', text)
    assert sorted(live) == sorted(places)
    assert len(places) == len(set(places)) >= 8
    assert "window.vegaEmbed=" in text


def test_figures_lie_beside_the_page(report):
    names = {path.stem for path in (report / "figures").glob("*.svg")}
    assert {"accuracy", "accuracy_by_op", "errors", "training", "needed", "gains", "probes_0"} <= names
    assert names == {path.stem for path in (report / "figures").glob("*.png")}


def test_the_page_is_small(report):
    assert (report / "report.html").stat().st_size < 3_000_000


def test_the_report_is_the_same_twice(member, report, tmp_path):
    write_report(ReportSettings(member="invented"), member, Writing(tmp_path, resumed=False))
    assert (tmp_path / "report.html").read_bytes() == (report / "report.html").read_bytes()
