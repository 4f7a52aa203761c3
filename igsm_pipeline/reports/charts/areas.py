"""Stacked bars (what a whole is made of) and heat maps (a value per cell)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from igsm_pipeline.intervals.interval import Interval
from igsm_pipeline.reports.charts.chart import WIDTH, Chart
from igsm_pipeline.reports.charts.theme import BLUE, GREY, INK, ORANGE, PURPLE, SKY, VERMILLION, YELLOW

PARTS = (BLUE, ORANGE, SKY, PURPLE, YELLOW, VERMILLION, GREY)
"""Colours of the parts of a bar, in order."""


@dataclass(frozen=True)
class Part:
    """One part of one bar.

    Attributes:
        row: which bar.
        name: which part.
        number: how many.
        whole: of how many; a bar's length is the sum of its parts' shares of it.
    """

    row: str
    name: str
    number: int
    whole: int


def draw_stack(name: str, words: str, parts: Sequence[Part], *, axis: str, width: int = WIDTH) -> Chart:
    """A bar per row, cut into parts in the order in which they first come; parts beyond the seventh are one, "other".

    Args:
        name, words: of the chart.
        parts: of all bars.
        axis: title of the axis, which is in percent of the whole.
        width: pixels.
    """
    names = list(dict.fromkeys(part.name for part in parts))
    if len(names) > len(PARTS):
        kept = names[: len(PARTS) - 1]
        names = [*kept, "other"]
        parts = [part if part.name in kept else Part(part.row, "other", part.number, part.whole) for part in parts]
    rows = list(dict.fromkeys(part.row for part in parts))
    values = [
        {
            "row": part.row, "name": part.name, "share": 100 * part.number / part.whole, "place": names.index(part.name),
            "shown": f"{part.number:,} of {part.whole:,}", "words": f"{part.row}, {part.name}: {part.number:,} of {part.whole:,}",
        }
        for part in parts
    ]  # fmt: skip
    colours = alt.Scale(domain=names, range=list(PARTS[: len(names)]))
    drawn = alt.Chart(alt.InlineData(values=values)).mark_bar(stroke="white", strokeWidth=1).encode(
        x=alt.X("share:Q", title=axis, stack="zero", scale=alt.Scale(domain=[0, 100]), axis=alt.Axis(tickCount=6)),
        y=alt.Y("row:N", sort=rows, title=None, scale=alt.Scale(paddingInner=0.35, paddingOuter=0.15)),
        fill=alt.Fill("name:N", scale=colours, sort=names, legend=alt.Legend(symbolType="square")),
        order=alt.Order("place:Q"),
        description="words:N",
        tooltip=[alt.Tooltip("row:N", title="of"), alt.Tooltip("name:N", title="first error"), alt.Tooltip("shown:N", title="solutions")],
    )  # fmt: skip
    return Chart.of(name, words, drawn, height=30 * len(rows), width=width, columns=max(1, (width - 190) // (7 * max(map(len, names)) + 30)))


@dataclass(frozen=True)
class Cell:
    """One cell of a heat map: its column and row, its value in percent with an interval, and what it was counted over.

    Columns are numbers, or names, which stand in the order in which they come.
    """

    x: int | str
    y: int
    value: Interval
    n: int


def draw_cells(name: str, words: str, cells: Sequence[Cell], *, x: str, y: str, width: int = WIDTH) -> Chart:
    """Values from 0 to 100 as colours, each written into its cell; rows count upwards.

    Args:
        name, words: of the chart.
        cells: with data.
        x, y: titles of the axes.
        width: pixels.
    """
    values = [
        {
            "x": cell.x, "y": cell.y, "value": cell.value.value, "text": f"{cell.value.value:.0f}", "n": f"{cell.n:,}", "shown": cell.value.shown(1),
            "words": f"{y} {cell.y}, {x} {cell.x}: {cell.value.shown(1)}, n = {cell.n:,}",
        }
        for cell in cells
    ]  # fmt: skip
    named = list(dict.fromkeys(cell.x for cell in cells if isinstance(cell.x, str)))
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X("x:O", title=x, sort=named or "ascending", axis=alt.Axis(labelAngle=0, domain=False, ticks=False)),
        y=alt.Y("y:O", title=y, sort="descending"),
    )
    tooltip = [alt.Tooltip("y:O", title=y), alt.Tooltip("x:O", title=x), alt.Tooltip("shown:N", title="percent, 95%"), alt.Tooltip("n:N", title="n")]
    scale = alt.Scale(domain=[0, 100], scheme="viridis")
    boxes = base.mark_rect(stroke=INK, strokeOpacity=0.15).encode(
        fill=alt.Fill("value:Q", scale=scale, legend=None), description="words:N", tooltip=tooltip
    )
    ink = alt.condition("datum.value < 65", alt.value("#ffffff"), alt.value("#111111"))
    numbers = base.mark_text(fontSize=12, aria=False).encode(text="text:N", fill=ink)
    return Chart.of(name, words, alt.layer(boxes, numbers), height=32 * len({cell.y for cell in cells}), width=width)
