"""Do mistakes show first? In the state at the mistake (figure 8), and before the solution begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from igsm_pipeline.intervals.interval import Interval, of_columns
from igsm_pipeline.reports.charts.intervals import Mark, draw_intervals
from igsm_pipeline.reports.charts.theme import BLUE, GREY, ORANGE, PURPLE, Series
from igsm_pipeline.reports.findings import Row
from igsm_pipeline.reports.page import Page, interval_cell
from igsm_pipeline.reports.results import Results, listed, no_evidence, said
from igsm_pipeline.reports.sections.opening import percent

FEATURES = {
    "probes": "the probes alone",
    "op": "number of operations",
    "length": "length of the text",
    "op+length": "operations and length",
    "surface": "operations, length, number of quantities",
    "surface+probes": "these and the probes",
}
"""What each predictor sees."""
EVENTS = {
    ("a", "nece"): ("a right solution computes something unneeded", "had called it needed"),
    ("b", "can_next"): ("the first wrong step computes something too early", "had said that it can be computed"),
    ("b", "nece_next"): ("the first wrong step computes what should not come next", "had said that it should"),
}
"""What each part of figure 8 counts, and what the probe of it had said."""
HOW = (
    "At the mistake: how often the probe, one sentence earlier, said falsely what the model then did. Elsewhere: how often it says so,"
    " as falsely, where the model does not do it.",
    "If the first is the larger, the mistake was in the state before it was on the page.",
)
_MISTAKE, _ELSEWHERE = Series("at the mistake", ORANGE, "diamond"), Series("elsewhere", BLUE)
_TARGETS = {"wrong": Series("the solution will be wrong", BLUE), "redundant": Series("it will be right, but redundant", PURPLE, "square")}


def write_mistakes(page: Page, results: Results) -> None:
    """The section; nothing where mistakes were not correlated with probes."""
    if not results.correlation and not results.predictor:
        page.missing("Do mistakes show first?", "mistakes have not been compared with probes")
        return
    events = _events(results.correlation)
    part = one_range(results.predictor)
    findings = [_event_finding(results, key, rows) for key, rows in events.items()] + ([_predictor_finding(results, part)] if part else [])
    page.section("Do mistakes show first?", *findings)
    for figure, what in (("a", "no correct solution computes anything that the answer does not need"), ("b", "no first wrong step was of that kind")):
        if not any(key[0] == figure for key in events):
            page.missing(f"Figure 8{figure}: what the probe said at mistakes", what)
    for (figure, task), rows in events.items():
        _event_chart(page, results, figure, task, rows)
    if part:
        _predictor(page, results, part)
    elif results.predictor:
        page.missing("Mistakes predicted before the first word", "right or wrong solutions are too few in every slice")


def _events(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["rate"] is not None and row["n"]:
            found.setdefault((row["figure"], row["task"]), []).append(row)
    return found


def _rate(row: Row) -> Interval:
    return of_columns(row, "rate", "")


def _elsewhere(row: Row) -> Interval:
    return of_columns(row, "baseline_rate", "baseline")


def _excess(row: Row) -> Interval:
    return of_columns(row, "excess")


def _event_finding(results: Results, key: tuple[str, str], rows: Sequence[Row]) -> str:
    whole = next((row for row in rows if row["slice"] == "all"), rows[0])
    gap = _excess(whole)
    what, had = EVENTS.get(key, (f"of {key[1]}", "had said so"))
    start = f"Where {what} ({whole['n']:,} times), the probe {had} in {said(_rate(whole))}, elsewhere in {said(_elsewhere(whole))}"
    end = f": no evidence of a difference ({said(gap, unit=' points')})." if no_evidence(gap) else f": {said(gap, unit=' points')} apart."
    if whole["matched_n"]:
        same = of_columns(whole, "matched_excess")
        difference = said(same, unit=" points")
        end += f" Beside false cases that are as hard: {'no evidence of a difference, ' if no_evidence(same) else ''}{difference}."
    none = [results.slice_name(row["slice"]) for row in rows if row["slice"] not in ("all", "by_op") and no_evidence(_excess(row))]
    return start + end + (f" By themselves, no evidence: {listed(none)}." if none and not no_evidence(gap) else "")


def _event_chart(page: Page, results: Results, figure: str, task: str, rows: Sequence[Row]) -> None:
    marks = []
    for row in rows:
        name = results.slice_name(row["slice"])
        marks += [Mark(name, _MISTAKE, percent(_rate(row)), row["n"]), Mark(name, _ELSEWHERE, percent(_elsewhere(row)), row["baseline_n"])]
    name = f"mistakes_{figure}_{task}"
    words = f"How often the {task} probe says falsely what the model does, at mistakes and elsewhere, by kind of problem, with 95% intervals."
    caption = f"Figure 8{figure}, {task}: {EVENTS.get((figure, task), (task,))[0]}."
    page.chart(draw_intervals(name, words, marks, axis="the probe says so, %", domain=None), caption, *HOW)
    cells = [
        (
            results.slice_name(row["slice"]),
            row["n"],
            interval_cell(_rate(row)),
            row["baseline_n"],
            interval_cell(_elsewhere(row)),
            interval_cell(_excess(row)),
        )
        for row in rows
    ]
    head = ("problems", "mistakes", "at the mistake, %", "elsewhere, n", "elsewhere, %", "difference, points")
    names = (
        "slice",
        "n",
        "rate",
        "low",
        "high",
        "baseline_n",
        "baseline_rate",
        "baseline_low",
        "baseline_high",
        "excess",
        "excess_low",
        "excess_high",
    )
    page.fold(name, head, cells, download=(names, [[row[column] for column in names] for row in rows]))


def one_range(rows: Sequence[Row]) -> str | None:
    """The slice whose predictor is drawn: problems as long as the training's, so that length alone does not say which slice one is in."""
    scored = [row["slice"] for row in rows if row["target"] == "wrong" and row["auroc"] is not None and row["slice"] != "all"]
    return next((part for part in ("by_op", "op<=max", *scored) if part in scored), None)


def _aurocs(rows: Sequence[Row], part: str) -> dict[tuple[str, str], Row]:
    return {(row["target"], row["features"]): row for row in rows if row["slice"] == part and row["auroc"] is not None}


def _auroc(row: Row) -> Interval:
    return of_columns(row, "auroc")


def _predictor_finding(results: Results, part: str) -> str:
    found = {features: row for (target, features), row in _aurocs(results.predictor, part).items() if target == "wrong"}
    if "probes" not in found:
        return "Whether a solution will be wrong was not predicted from probes."
    probes = _auroc(found["probes"])
    known = "no evidence that it can be told" if probes.low <= 0.5 <= probes.high else "it can be told"
    shown = said(probes, unit="", scale=1, digits=2)
    text = f"Before the first word ({results.slice_name(part)}), {known} from the probes which solutions will be wrong: AUROC {shown}"
    both = found.get("surface+probes")
    if both is None or both["gain"] is None:
        return f"{text}."
    gain = of_columns(both, "gain")
    added = said(gain, unit="", scale=1, digits=3)
    beyond = "what anybody can count (operations, length, quantities)"
    return f"{text}. " + (f"No evidence that they add to {beyond}: {added}." if no_evidence(gain) else f"To {beyond} they add {added}.")


def _predictor(page: Page, results: Results, part: str) -> None:
    page.part("Told before the first word")
    how = (
        "AUROC is the chance that of two problems, one of which will be solved wrongly, the predictor picks the right one; 0.5 is a coin.",
        f"Only problems of one range ({results.slice_name(part)}) are compared: over all slices their length alone would tell the slices apart.",
    )
    found = _aurocs(results.predictor, part)
    marks = [
        Mark(FEATURES.get(features, features), _TARGETS.get(target, Series(target, GREY)), _auroc(row), row["n"])
        for (target, features), row in found.items()
    ]
    words = "AUROC of predicting, before the first word, which solutions will be wrong, by what the predictor sees, with 95% intervals."
    chart = draw_intervals("predictor", words, marks, axis="AUROC, within folds", domain=(0.4, 1.0), lines={"a coin": 0.5}, digits=2)
    wrong = next(iter(found.values()))
    page.chart(chart, f"{wrong['positives']:,} of {wrong['n']:,} solutions are wrong; each is predicted by a model that has not seen it.", *how)
    _predictor_table(page, results)


def _predictor_table(page: Page, results: Results) -> None:
    parts: Mapping[str, dict[tuple[str, str], Row]] = {row["slice"]: _aurocs(results.predictor, row["slice"]) for row in results.predictor}
    shown = {part: found for part, found in parts.items() if part != "all" and any(target == "wrong" for target, _ in found)}
    rows = [
        (words, *(interval_cell(_auroc(found["wrong", features]), 2, 1) if ("wrong", features) in found else None for found in shown.values()))
        for features, words in FEATURES.items()
    ]
    names = ("target", "slice", "features", "n", "positives", "auroc", "auroc_low", "auroc_high", "gain", "gain_low", "gain_high")
    file = [[row[name] for name in names] for row in results.predictor if row["auroc"] is not None]
    note = "AUROC for wrong solutions; a dash: the predictor sees the same of every problem there, or either kind of solution is too rare."
    page.fold("predictor", ("the predictor sees", *map(results.slice_name, shown)), rows, note, (names, file))
