"""Findings are said from numbers: no evidence where the interval holds zero, the paper's value where it has one."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from igsm_pipeline.intervals.interval import Interval
from igsm_pipeline.reports.findings import Findings
from igsm_pipeline.reports.page import Page
from igsm_pipeline.reports.paper import matching_slice, nearest_family
from igsm_pipeline.reports.results import Results, listed, no_evidence, said, slice_name
from igsm_pipeline.reports.sections.knowing import curve_chart, write_knowing
from igsm_pipeline.reports.sections.mistakes import one_range, write_mistakes
from igsm_pipeline.reports.settings import ReportSettings

MEASURES = ("accuracy", "balanced_accuracy", "accuracy_positive", "accuracy_negative", "mcc", "auroc")


def results(*, experiment: dict[str, Any] | None = None, **parts: Any) -> Results:
    """Results of a member without units, some of them given."""
    made = Results(ReportSettings(member="invented", experiment=experiment or {}), Findings(()))
    made.__dict__.update({"verdicts": [], "scores": [], "correlation": [], "predictor": [], "beyond_text": [], "probe_curves": [], **parts})
    return made


def score(task: str, gain: tuple[float, float, float] | None, probe: str = "v_probe") -> dict[str, Any]:
    values = dict(zip(("balanced_accuracy_gain", "balanced_accuracy_gain_low", "balanced_accuracy_gain_high"), gain or (None,) * 3, strict=True))
    measures = {f"{name}{end}": 0.8 for name in MEASURES for end in ("", "_low", "_high")}
    counts = {"n": 100, "num_problems": 50, "positives": 40, "negatives": 60}
    return {
        "task": task,
        "slice": "op<=max",
        "probe": probe,
        "layer": None,
        "subset": "all",
        "op": None,
        "chosen": None,
        **measures,
        **counts,
        **values,
    }


def test_a_gain_whose_interval_holds_zero_is_no_evidence_and_one_that_does_not_is_said_with_it() -> None:
    page = Page("a title", "a lead")
    write_knowing(page, results(scores=[score("nece", (0.25, 0.2, 0.3)), score("value", (0.01, -0.02, 0.04)), score("dep", (-0.1, -0.2, -0.05))]))
    text = page.render().replace("&#x27;", "'")
    assert "balanced accuracy: needed +25.0 (20.0 to 30.0)." in text
    assert "No evidence that it knows more than random weights: its value 1.0 (-2.0 to 4.0)." in text
    assert "They find less for rests on -10.0 (-20.0 to -5.0)." in text


@pytest.mark.parametrize("prior", ["training", "uniform"])
def test_answers_that_do_not_weigh_how_common_each_is_are_said_to(prior: str) -> None:
    page = Page("a title", "a lead")
    write_knowing(page, results(experiment={"probes": {"prior": prior}}, scores=[score("nece", (0.25, 0.2, 0.3))]))
    assert ("as if every answer were equally common" in page.render()) == (prior == "uniform")


@pytest.mark.parametrize(
    ("low", "high", "none"), [(-1, 1, True), (0, 1, True), (0.1, 1, False), (-1, -0.1, False), (float("nan"), float("nan"), True)]
)
def test_evidence_is_an_interval_without_zero(low: float, high: float, none: bool) -> None:
    assert no_evidence(Interval(0.5, low, high)) is none


def event(part: str, excess: tuple[float, float, float], n: int = 30) -> dict[str, Any]:
    rates = {"rate": 0.3, "low": 0.2, "high": 0.4, "baseline_rate": 0.1, "baseline_low": 0.05, "baseline_high": 0.2, "baseline_n": 200}
    return {
        "figure": "b",
        "task": "can_next",
        "slice": part,
        "n": n,
        "matched_n": 20,
        **{f"matched_{name}{end}": 0.2 for name in ("rate", "baseline", "excess") for end in ("", "_low", "_high")},
        **rates,
        **dict(zip(("excess", "excess_low", "excess_high"), excess, strict=True)),
    }


def test_what_the_text_alone_tells_is_set_against_what_the_model_knows() -> None:
    page = Page("a title", "a lead")
    gains = (("nece", (0.2, 0.1, 0.3)), ("known", (0.0, -0.1, 0.1)))
    names = ("gain", "gain_low", "gain_high")
    rows = [{"task": task, "slice": "op<=max", "n": 9, **dict(zip(names, gain, strict=True))} for task, gain in gains]
    write_knowing(page, results(scores=[score("nece", (0.25, 0.2, 0.3))], beyond_text=rows))
    assert "no model at all: needed +20.0 (10.0 to 30.0); no evidence of a gain for computed." in page.render()
    assert "beyond_text" in page.charts


def test_figure_8_says_the_difference_and_where_there_is_no_evidence_of_one() -> None:
    page = Page("a title", "a lead")
    write_mistakes(page, results(correlation=[event("op<=max", (0.05, -0.1, 0.2)), event("all", (0.2, 0.1, 0.3), 60)]))
    text = page.render()
    assert "(60 times), the probe had said that it can be computed in 30.0 % (20.0 to 40.0), elsewhere in 10.0 % (5.0 to 20.0): 20.0 points" in text
    assert "Beside false cases that are as hard: 20.0 points (20.0 to 20.0)." in text
    assert "By themselves, no evidence: 1 to 0 operations." in text
    assert [what for what, _ in page.what_is_missing()] == ["Figure 8a: what the probe said at mistakes"]


def prediction(part: str, features: str, auroc: float | None) -> dict[str, Any]:
    ends = {"auroc_low": None if auroc is None else auroc - 0.05, "auroc_high": None if auroc is None else auroc + 0.05}
    return {
        "target": "wrong",
        "slice": part,
        "features": features,
        "n": 100,
        "positives": 30,
        "auroc": auroc,
        **ends,
        "gain": None,
        "gain_low": None,
        "gain_high": None,
    }


def test_the_predictor_is_drawn_on_one_range_of_operations_never_on_all_slices_together() -> None:
    rows = [prediction(part, "probes", 0.7) for part in ("all", "op=max", "op<=max", "by_op")]
    assert one_range(rows) == "by_op"
    assert one_range(rows[:3]) == "op<=max"
    assert one_range([prediction("all", "probes", 0.9), prediction("op=max+1", "probes", None)]) is None


@pytest.mark.parametrize(
    ("gain", "sentence"),
    [((0.03, 0.01, 0.05), "they add 0.030 (0.010 to 0.050)."), ((0.01, -0.01, 0.03), "No evidence that they add to what anybody can count")],
)
def test_what_the_probes_add_to_what_anybody_can_count_is_said_from_the_paired_gain(gain: tuple[float, ...], sentence: str) -> None:
    page = Page("a title", "a lead")
    both = {**prediction("by_op", "surface+probes", 0.8), **dict(zip(("gain", "gain_low", "gain_high"), gain, strict=True))}
    write_mistakes(page, results(predictor=[prediction("by_op", "probes", 0.7), prediction("by_op", "op", None), both]))
    text = page.render()
    assert sentence in text
    assert "AUROC 0.70 (0.65 to 0.75)" in text
    assert "<th scope=row>number of operations</th><td>–</td>" in text, "a feature that is the same everywhere has no AUROC"


def test_slices_stand_beside_the_papers_of_the_same_kind() -> None:
    assert nearest_family("hard_pq", "pq") == "hard_pq"
    assert nearest_family("mini", "qp") == "med_qp"
    beyond = ["op=max+1", "op=max+2"]
    assert [matching_slice("med_qp", part, beyond) for part in ("op<=max", "op=max", "op=max+1", "op=max+2", "reask", "by_op")] == [
        "op<=max", "op=max", "op=20", "op=21", "reask", None,
    ]  # fmt: skip
    assert matching_slice("hard_pq", "op=max+1", beyond) == "op=28"


def test_slices_and_values_are_said_in_words() -> None:
    assert slice_name("op=max+1", 3) == "4 operations, never taught"
    assert slice_name("op=20", 15) == "20 operations, never taught"
    assert slice_name("op<=max", 3) == "1 to 3 operations"
    assert said(Interval(0.888, 0.867, 0.906)) == "88.8 % (86.7 to 90.6)"
    assert listed(["a", "b", "c"]) == "a, b and c"


def curve(task: str, step: int, value: float, left: float, model: str = "trained") -> dict[str, Any]:
    ends = {
        f"{name}{end}": number + by
        for name, number in (("balanced_accuracy", value), ("gain_left", left))
        for end, by in (("_low", -0.01), ("_high", 0.01))
    }
    return {"task": task, "model": model, "step": step, "n": 90, "num_problems": 9, "balanced_accuracy": value, "gain_left": left, **ends}


def test_curves_say_what_the_last_quarter_gained_and_that_none_is_no_proof() -> None:
    page = Page("a title", "a lead")
    rows = [curve("nece", step, value, 0.9 - value) for step, value in ((500, 0.7), (1000, 0.8), (1500, 0.86), (2000, 0.9))]
    rows += [curve("nece", step, 0.6, 0.0, "random") for step in (500, 1500, 2000)]
    write_knowing(page, results(scores=[score("nece", (0.25, 0.2, 0.3))], probe_curves=rows))
    text = page.render()
    assert "Were the probes trained for long enough?" in text
    assert "only more steps tell" in text
    cells = re.findall(r"<tr>(.*?)</tr>", text[text.index("gained in the last quarter") :], re.DOTALL)
    read = [re.sub(r"<[^>]+>", " ", cell).split() for cell in cells[:2]]
    assert read == [
        ["needed", "(nece)", "the", "trained", "model", "2,000", "90.0", "89.0", "to", "91.0", "4.0", "3.0", "to", "5.0"],
        ["needed", "(nece)", "random", "weights", "2,000", "60.0", "59.0", "to", "61.0", "0.0", "-1.0", "to", "1.0"],
    ]
    chart = curve_chart(results(probe_curves=rows), "trained", "curves")
    assert all(number in json.dumps(chart.spec) for number in ("86.0", "89.0"))
    empty = Page("a title", "a lead")
    write_knowing(empty, results(scores=[score("nece", (0.25, 0.2, 0.3))]))
    assert ("Were the probes trained for long enough?", "no V-probe's training held problems out") in empty.what_is_missing()
