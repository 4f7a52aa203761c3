"""The sections of the report about the model's mind: what probes read in it, where in the network, and what mistakes look like inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from igsm_pipeline.intervals.interval import Interval, from_columns
from igsm_pipeline.reports import figures
from igsm_pipeline.reports.findings import Findings, Row
from igsm_pipeline.reports.page import Markup, Page
from igsm_pipeline.reports.paper_rows import PROBES, score, whole_scores

Show = Callable[[str, Figure, str], None]
"""Draws a figure: file name, figure, caption."""
_SHARES = ("accuracy", "accuracy_positive", "accuracy_negative")
_BASELINES = ("op", "length", "op+length")


def write_sections(page: Page, show: Show, findings: Findings) -> None:
    """The sections that the member has findings for, in order."""
    scores = findings.probe_scores()
    if scores:
        _probes(page, show, scores)
    distances = [row for row in findings.distances() if row["probe"] == "linear"]
    if distances:
        _distances(page, show, distances)
    if findings.of("error_correlation"):
        _correlation(page, show, [row for source in findings.of("error_correlation") for row in source.tables("correlation")])
        _predictor(page, show, [row for source in findings.of("error_correlation") for row in source.tables("mistake_predictor")])


def _probes(page: Page, show: Show, scores: list[Row]) -> None:
    candidates = ", ".join(sorted({str(row["candidates"]) for row in scores}))
    page.section(
        "What does it know?",
        "nece: is the parameter needed for the answer? dep: does one rest on another? known: is it computed? value: which one? can_next: could it be "
        "computed next? nece_next: could and should it?",
        f"Candidate set: {candidates}. Balanced accuracy in percent, intervals by problem; the linear probe's layer was chosen on training problems "
        "that no fit saw. Gain: V-probe less the same probe on random weights, the problems resampled for both at once, in points.",
    )
    probes = [probe for probe in PROBES if any(row["probe"] == probe for row in scores)]
    rows = [
        (
            name,
            found["n"],
            *(_percent(score(cells.get(probe), "balanced_accuracy")) for probe in probes),
            _percent(score(found, "balanced_accuracy_gain")),
        )
        for name, cells in probe_table(scores)
        for found in (cells.get("v_probe") or next(iter(cells.values())),)
    ]
    page.table(("task, slice", "queries", *(figures.PROBE_NAMES[probe] for probe in probes), "gain"), rows)
    _details(page, whole_scores(scores))
    for number, part in enumerate(dict.fromkeys(row["slice"] for row in scores)):
        show(f"probes_{number}", figures.probe_bars(scores, part), f"Figure 7 on {part}: probes beside their controls.")
        if any(row["subset"] == "unnecessary" and row["slice"] == part and row["probe"] == "v_probe" for row in scores):
            caption = f"Figure 7b on {part}: of parameters that the answer does not need, too."
            show(f"necessary_{number}", figures.necessary_bars(scores, part), caption)
        show(f"signs_{number}", figures.sign_bars(scores, part), f"Figure 12 on {part}: V-probes on positives and on negatives apart.")


def probe_table(scores: Sequence[Row]) -> list[tuple[str, dict[str, Row]]]:
    """Task and slice, and the row of each probe; value comes a second time, over the queries whose value is known already."""
    found: dict[str, dict[str, Row]] = {}
    for subset, suffix in (("all", ""), ("known", " given known")):
        for (task, part, probe), row in whole_scores(scores, subset).items():
            found.setdefault(f"{task}{suffix}, {part}", {})[probe] = row
    return list(found.items())


def _details(page: Page, best: dict[tuple[str, str, str], Row]) -> None:
    details = [
        (
            f"{task}, {part}, {figures.PROBE_NAMES[probe]}", row["layer"], row["n"], row["num_problems"],
            *(_percent(score(row, name)) for name in _SHARES),
            *(value.shown() if (value := score(row, name)) is not None else None for name in ("mcc", "auroc")),
        )
        for (task, part, probe), row in best.items()
    ]  # fmt: skip
    page.markup(Markup("<details><summary>Accuracy, on positives and on negatives, MCC, AUROC (figure 12)</summary>"))
    page.table(("task, slice, probe", "layer", "queries", "problems", "accuracy", "on positives", "on negatives", "MCC", "AUROC"), details)
    page.markup(Markup("</details>"))


def _distances(page: Page, show: Show, rows: list[Row]) -> None:
    page.section(
        "Where in the network?",
        "Share of necessary parameters that the linear nece probe calls necessary, by layer and by distance to the query (figure 10).",
    )
    for number, part in enumerate(dict.fromkeys(row["slice"] for row in rows)):
        sizes = sorted({row["n"] for row in rows if row["slice"] == part})
        caption = f"{part}; {sizes[0]:,} to {sizes[-1]:,} parameters per cell."
        show(f"layers_{number}", figures.layer_by_distance(rows, part), caption)


def _correlation(page: Page, show: Show, rows: list[Row]) -> None:
    page.section(
        "Do mistakes show in the mind first?",
        "How often the probe shares what the model did wrong (rate), against how often it says the same elsewhere, just as falsely (fig. 8).",
    )
    cells = [
        (f"8{row['figure']}, {row['task']}, {row['slice']}", row["solutions"], row["n"], _interval(row, "rate", "low", "high"),
         _interval(row, "baseline_rate", "baseline_low", "baseline_high"), row["baseline_n"], _interval(row, "excess", "excess_low", "excess_high"))
        for row in rows
    ]  # fmt: skip
    for figure, what in (("a", "unnecessary parameters of correct solutions"), ("b", "the first wrong parameter of wrong solutions")):
        drawn = [row for row in rows if row["figure"] == figure and row["rate"] is not None]
        if drawn:
            events = sum(row["n"] for row in drawn if row["slice"] == "all")
            show(f"mistakes_{figure}", figures.mistake_bars(drawn), f"Figure 8 {figure}: {what}; {events:,} of them over all slices and tasks.")
        else:
            page.text(f"Figure 8 {figure} has nothing to count: no solution with {what}.")
    page.table(("figure, task, slice", "solutions", "events", "rate, %", "elsewhere, %", "queries elsewhere", "difference, points"), cells)


def _predictor(page: Page, show: Show, rows: list[Row]) -> None:
    if not rows:
        return
    page.text(
        "Will the solution be wrong? Predicted at the end of the question, before a word of it is written, out of fold; from what the nece probe "
        "says, and, for comparison, from what anybody knows: the number of operations, the length of the prompt."
    )
    drawn = [row for row in rows if row["slice"] == "all" and row["auroc"] is not None]
    if drawn:
        show("predictor", figures.auroc_bars(drawn), "AUROC of the mistake predictor over all slices, out of fold; dashed: no better than chance.")
    lines = [
        (
            f"{row['target']}, {row['slice']}, {row['features']}" + (" (baseline)" if row["features"] in _BASELINES else ""),
            row["n"],
            row["positives"],
            _interval(row, "auroc", "auroc_low", "auroc_high", 1),
        )
        for row in rows
    ]
    page.table(("target, slice, features", "solutions", "positives", "AUROC"), lines)


def _percent(value: Interval | None) -> str | None:
    return None if value is None else value.percent()


def _interval(row: Row, value: str, low: str, high: str, scale: int = 100) -> str | None:
    if row[value] is None:
        return None
    return from_columns(row[value], row[low], row[high]).shown(1 if scale == 100 else 2, scale)
