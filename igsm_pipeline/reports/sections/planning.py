"""Does it plan? What it writes and does not need, and whether it knows before it writes what it will need. (Figures 4 and 7, nece.)"""

from __future__ import annotations

from igsm_pipeline.intervals.interval import Interval
from igsm_pipeline.intervals.share import share
from igsm_pipeline.reports.charts.intervals import Mark, draw_intervals
from igsm_pipeline.reports.charts.theme import BLUE, ORANGE, PAPER, PROBES, Series
from igsm_pipeline.reports.page import Page, interval_cell
from igsm_pipeline.reports.paper import FIGURE_4_REASK
from igsm_pipeline.reports.results import Results, no_evidence, said
from igsm_pipeline.reports.sections.opening import paper_mark, percent

_PROBES = ("v_probe", "random", "majority")


def write_planning(page: Page, results: Results) -> None:
    """The section; nothing where there are neither correct solutions nor nece probes."""
    right = [row for row in results.verdicts if row["correct"] and row["beams"] == 1]
    parts = [part for part in results.probed_slices if results.probe("nece", part) is not None]
    if not right and not parts:
        page.missing("Does it plan?", "there is no correct solution and no nece probe")
        return
    findings = []
    if right:
        idle = share(sum(row["unnecessary_operations"] > 0 for row in right), len(right))
        findings.append(f"Of its {len(right):,} correct solutions, {idle.hits:,} compute something that the answer does not need: {said(idle)}.")
    if parts:
        findings.append(_ahead(results, parts[0]))
    page.section("Does it plan?", *findings)
    if parts:
        _needed(page, results, parts)
    else:
        page.missing("What it knows to be needed before it writes", "no nece probe has been scored")
    _idle(page, results, len(right))


def _ahead(results: Results, part: str) -> str:
    value, gain = results.probe("nece", part), results.probe("nece", part, name="balanced_accuracy_gain")
    start = f"Before it writes a word, a probe of its state tells which quantities the answer needs ({results.slice_name(part)}): "
    told = f"balanced accuracy {said(value)}" if value is not None else ""
    if gain is None:
        return f"{start}{told}; no control was scored."
    if no_evidence(gain):
        return f"{start}{told}, but there is no evidence that this is the model's doing: {said(gain, unit=' points')} more than on random weights."
    return f"{start}{told}, {said(gain, unit=' points')} more than the same probe finds in random weights."


def _needed(page: Page, results: Results, parts: list[str]) -> None:
    how = (
        "When the question has been read and nothing written yet, a small probe (V-probe) reads from its state whether a quantity will be needed.",
        "The same probe on a model with random weights, and always giving the commonest answer, show what the probe can do by itself.",
    )
    marks = []
    for part in parts:
        name = results.slice_name(part)
        for probe in _PROBES:
            value = results.probe("nece", part, probe, "accuracy")
            if value is not None:
                marks.append(Mark(name, PROBES[probe], percent(value), results.whole["nece", part, probe]["n"]))
        marks += paper_mark(name, results.paper_probe("nece", part))
    words = "Accuracy of the probe for what is needed, before the first word, beside its controls and the paper's values."
    page.chart(
        draw_intervals("needed", words, marks, axis="accuracy, %", domain="high"),
        "Is this quantity needed? Told before the first word (figure 7, nece).",
        *how,
    )
    rows = [
        (results.slice_name(part), results.whole["nece", part, "v_probe"]["n"],
         *(interval_cell(results.probe("nece", part, probe, "accuracy")) for probe in _PROBES), results.paper_probe("nece", part))
        for part in parts
        if ("nece", part, "v_probe") in results.whole
    ]  # fmt: skip
    page.fold(
        "needed",
        ("problems", "n", "V-probe, %", "random weights, %", "commonest answer, %", "paper, %"),
        rows,
        "Accuracy; balanced accuracy stands in the next section.",
    )


def _idle(page: Page, results: Results, correct: int) -> None:
    rows = [row for row in results.accuracy if row.slice != "by_op" and row.extra_operations.value == row.extra_operations.value]
    if not any(row.extra_operations.value > 0 or row.extra_parameters.value > 0 for row in rows):
        page.missing("Figure 4: unnecessary operations and quantities", f"none of {correct:,} correct solutions has any")
        return
    page.part("What it computes and does not need")
    operations, parameters = Series("operations", BLUE), Series("quantities", ORANGE, "square")
    marks = []
    for row in rows:
        name = results.row_name(row)
        marks += [Mark(name, operations, row.extra_operations, row.correct.hits), Mark(name, parameters, row.extra_parameters, row.correct.hits)]
        if row.slice == "reask":
            theirs = FIGURE_4_REASK[results.paper_family][0]
            marks.append(Mark(name, PAPER, Interval(theirs, float("nan"), float("nan"))))
    words = "Unnecessary operations and quantities per correct solution, by kind of problem, with 95% intervals."
    chart = draw_intervals("unnecessary", words, marks, axis="unnecessary, per correct solution", domain=None, lines={"none": 0.0}, digits=3)
    page.chart(chart, "Figure 4: 0 is a shortest solution. The paper has about 0 everywhere but on reask, where its operations are dotted.")
    cells = [
        (results.row_name(row), row.correct.hits, interval_cell(row.extra_operations, 3, 1), interval_cell(row.extra_parameters, 3, 1))
        for row in rows
    ]
    page.fold("unnecessary", ("problems", "correct", "operations", "quantities"), cells, "Per correct solution.")
