"""Can its plan be pushed? What the model begins with once its states are moved along a probe's direction, by strength, beside controls."""

from __future__ import annotations

from collections.abc import Sequence

from igsm_pipeline.intervals.interval import of_columns
from igsm_pipeline.reports.charts.chart import HALF, Chart
from igsm_pipeline.reports.charts.curves import Point, draw_curves
from igsm_pipeline.reports.charts.theme import BLUE, GREY, ORANGE, Series
from igsm_pipeline.reports.findings import Row
from igsm_pipeline.reports.page import Page, interval_cell
from igsm_pipeline.reports.results import Results, said
from igsm_pipeline.reports.sections.opening import percent

TITLE = "Can its plan be pushed?"
PUSHES = {
    "probe": Series("along the probe's gradient about it", BLUE, "circle"),
    "other": Series("about another useless quantity", ORANGE, "square"),
    "random": Series("random directions", GREY, "cross"),
}
"""How the pushes are drawn and called."""


def write_steering(page: Page, results: Results) -> None:
    """The section; nothing where no states were pushed."""
    rows = results.steering
    if not rows:
        page.missing(TITLE, "no states were pushed along a probe's direction (steering.problems is 0, or no problem was fit)")
        return
    page.section(TITLE, *_findings(rows))
    page.stated(results.claim("steering"))
    page.how(
        "A quantity that the answer does not need, but that could be computed at once, is made to look needed: while the model reads the problem, "
        "its states are pushed along the direction in which the probe believes it needed. Does the solution begin with it?",
        "Two pushes of the same size stand beside it: about another such quantity, and along random directions.",
    )
    layers = sorted({row["layer"] for row in rows})
    page.charts_beside((f"pushed at layer {layer}", _chart(layer, [row for row in rows if row["layer"] == layer])) for layer in layers)
    names = ("push", "layer", "strength", "n", *(f"{name}{end}" for name in ("named", "kept", "shift") for end in ("", "_low", "_high")))
    lines = [
        (
            f"{PUSHES[row['push']].name}, layer {row['layer']}, {row['strength']:g}",
            *(interval_cell(of_columns(row, name)) for name in ("named", "kept")),
            interval_cell(of_columns(row, "shift"), 2, 1),
        )
        for row in rows
    ]
    head = ("push, layer, strength", "begins with it, %", "begins as without a push, %", "shift of its log-odds, nats")
    page.fold("steering", head, lines, f"{rows[0]['n']:,} problems.", (names, [[row[name] for name in names] for row in rows]))


def _findings(rows: Sequence[Row]) -> list[str]:
    """The cell in which the probe's push is furthest ahead of the better control, and what the controls do there."""
    cells = {(row["push"], row["layer"], row["strength"]): of_columns(row, "named") for row in rows}

    def ahead(place: tuple[int, float]) -> float:
        return cells["probe", *place].value - max(cells[push, *place].value for push in ("other", "random"))

    places = [(layer, strength) for push, layer, strength in cells if push == "probe"]
    best = max(places, key=ahead)
    own, other, random = (cells[push, *best] for push in PUSHES)
    n = rows[0]["n"]
    told = (
        f"Pushed at layer {best[0]} by {best[1]:g} of their norm, states make the model begin with a useless quantity in {said(own)} of {n:,}; "
        f"the same push about another one in {said(other)}, along random directions in {said(random)}."
    )
    if own.low > max(other.high, random.high):
        return [told]
    return [told, "The intervals of push and controls overlap: no evidence that the model uses what the probe reads."]


def _chart(layer: int, rows: Sequence[Row]) -> Chart:
    points = [Point(100 * row["strength"], PUSHES[row["push"]], percent(of_columns(row, "named")), row["n"]) for row in rows]
    words = f"Share of problems that the model begins with a useless quantity, by strength of the push at layer {layer}."
    return draw_curves(f"steering_{layer}", words, points, x="strength, % of the states' norm", y="begins with it, %", width=HALF)
