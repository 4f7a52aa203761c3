"""When does it come? Solutions and beliefs over the training, and the tokens at which half of each gain is reached."""

from __future__ import annotations

from collections.abc import Sequence

from igsm_pipeline.emergence.settings import SOLVED
from igsm_pipeline.intervals.interval import of_columns
from igsm_pipeline.reports.charts.chart import HALF, Chart
from igsm_pipeline.reports.charts.curves import Point, draw_curves, looks
from igsm_pipeline.reports.findings import Row
from igsm_pipeline.reports.page import Page, interval_cell
from igsm_pipeline.reports.results import Results, listed, task_name
from igsm_pipeline.reports.sections.opening import percent

TITLE = "When does it come?"
_MILLION = 1e6


def write_emergence(page: Page, results: Results) -> None:
    """The section; nothing where the training kept no snapshots."""
    rows, gains = results.emergence, results.half_gains
    if not rows:
        page.missing(TITLE, "the training kept no snapshots (training.snapshots is 0)")
        return
    page.section(TITLE, *_findings(gains))
    page.stated(results.claim("emergence"))
    page.how(
        "Weights were kept along the training. Each of these models solves the same problems, and for each question a new V-probe with the same "
        "small budget is trained on it. The steps between two marks grow; see the numbers below.",
        "Where a belief is there before the solutions, the model knows before it can; where it comes after, probes read what solving left behind.",
    )
    solved = [row for row in rows if row["measure"] == SOLVED and row["op"] is not None]
    probed = [row for row in rows if row["measure"] != SOLVED]
    page.charts_beside(
        [
            ("Solved", _chart("solved", solved, "solved, %")),
            *([("Read by V-probes", _chart("read", probed, "balanced accuracy, %"))] if probed else []),
        ]
    )
    lines = [
        (
            name_of(row),
            interval_cell(of_columns(row, "gain")),
            interval_cell(None if row["tokens"] is None else of_columns(row, "tokens"), 2, 1 / _MILLION),
        )
        for row in gains
    ]
    page.table(
        ("of what", "gain, points", "half of it at, million tokens"),
        lines,
        "95% intervals: problems resampled, the same for all snapshots. They say nothing about other trainings.",
    )
    names = ("measure", "op", "step", "tokens", "n", "num_problems", "value", "value_low", "value_high")
    shown = [(name_of(row), row["step"], row["tokens"], interval_cell(of_columns(row, "value"))) for row in rows]
    page.fold(
        "emergence", ("of what", "steps", "tokens", "%"), shown, "One row per snapshot.", (names, [[row[name] for name in names] for row in rows])
    )


def name_of(row: Row) -> str:
    """What a row is about, in words."""
    if row["measure"] != SOLVED:
        return task_name(row["measure"])
    if row["op"] is None:
        return "solved, all problems"
    return f"solved, {row['op']} operation{'s' if row['op'] > 1 else ''}"


def _findings(gains: Sequence[Row]) -> list[str]:
    """The order of half gains, and whether nece comes before the hardest problems are solved."""
    reached = sorted((row for row in gains if row["tokens"] is not None), key=lambda row: row["tokens"])
    if not reached:
        return ["Nothing had gained anything by the end of the training."]
    told = [f"{name_of(row)} {_tokens(row)}" for row in reached]
    found = [f"Half of the final gain is reached, in million tokens: {listed(told)}."]
    levels = [row for row in reached if row["measure"] == SOLVED and row["op"] is not None]
    nece = next((row for row in reached if row["measure"] == "nece"), None)
    if nece is not None and levels:
        last = max(levels, key=lambda row: row["op"])
        order = "before" if nece["tokens_high"] < last["tokens_low"] else "after" if nece["tokens_low"] > last["tokens_high"] else None
        name = f"problems of {last['op']} operations are solved"
        found.append(f"What is needed can be read {order} {name}." if order else f"No evidence whether what is needed can be read before {name}.")
    return found


def _tokens(row: Row) -> str:
    return of_columns(row, "tokens").shown(2, 1 / _MILLION)


def _chart(name: str, rows: Sequence[Row], axis: str) -> Chart:
    look = looks(list(dict.fromkeys(map(name_of, rows))))
    points = [Point(_short(row["tokens"]), look[name_of(row)], percent(of_columns(row, "value")), row["n"]) for row in rows]
    words = f"{axis} of every snapshot over training tokens, with 95% intervals."
    return draw_curves(f"emergence_{name}", words, points, x="training tokens", y=axis, width=HALF)


def _short(tokens: int) -> str:
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if tokens >= size:
            return f"{tokens / size:.3g}{letter}"
    return str(tokens)
