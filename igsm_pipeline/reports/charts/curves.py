"""Lines over an axis: accuracy by number of operations, training over its steps, the sizes of a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from igsm_pipeline.intervals.interval import Interval
from igsm_pipeline.reports.charts.chart import WIDTH, Chart, value_scale
from igsm_pipeline.reports.charts.theme import BLUE, GREY, INK, ORANGE, PURPLE, SKY, Series
from igsm_pipeline.reports.findings import Row

MOST_POINTS = 240
SERIES = ((BLUE, "circle"), (ORANGE, "square"), (SKY, "triangle-up"), (PURPLE, "diamond"), (GREY, "cross"), (INK, "triangle-down"))
"""Colours and shapes of curves that have no look of their own, in order; they begin anew after the last."""


def looks(names: Sequence[str]) -> dict[str, Series]:
    """A colour and a shape for each of some names."""
    return {name: Series(name, *SERIES[index % len(SERIES)]) for index, name in enumerate(names)}


@dataclass(frozen=True)
class Point:
    """One point of a curve.

    Attributes:
        x: where: a number, or a name on an axis of names.
        series: of which curve.
        value: with its interval, in the axis's unit.
        n: how many it was counted over; 0 where that is not known.
        aside: a mark beside the curve, which no line passes.
    """

    x: float | str
    series: Series
    value: Interval
    n: int = 0
    aside: bool = False


def draw_curves(
    name: str,
    words: str,
    points: Sequence[Point],
    *,
    x: str,
    y: str,
    domain: tuple[float, float] | None = (0, 100),
    end: tuple[float, str] | None = None,
    marks: bool = True,
    digits: int = 1,
    height: int = 240,
    width: int = WIDTH,
) -> Chart:
    """A curve per series.

    Args:
        name, words: of the chart.
        points: in the order of the axis.
        x, y: titles of the axes.
        domain: ends of the value axis; None: as the values have it.
        end: a dashed line across the x axis, and what it stands for.
        marks: a mark at every point.
        digits: behind the point.
        height, width: pixels.
    """
    points = [point for point in points if not math.isnan(point.value.value)]
    series = {point.series.name: point.series for point in points}
    named = any(isinstance(point.x, str) for point in points)
    data = alt.InlineData(values=[_values(point, digits) for point in points])
    axis = alt.X("x:N", title=x, sort=None, axis=alt.Axis(labelAngle=0)) if named else alt.X(
        "x:Q", title=x, scale=alt.Scale(zero=False, nice=False, padding=14), axis=alt.Axis(tickMinStep=1, tickCount=8, grid=False)
    )  # fmt: skip
    side = alt.Y("value:Q", title=y, scale=value_scale(domain), axis=alt.Axis(tickCount=5))
    colours = alt.Scale(domain=list(series), range=[one.colour for one in series.values()])
    legend = None if len(series) < 2 else alt.Legend(symbolOpacity=1)
    dashes = alt.Scale(domain=list(series), range=[[2, 3] if one.dotted else [1, 0] for one in series.values()])
    shapes = alt.Scale(domain=list(series), range=[one.shape for one in series.values()])
    base = alt.Chart(data)
    line = base.transform_filter("!datum.aside").mark_line(strokeWidth=2, aria=False).encode(
        x=axis, y=side, stroke=alt.Stroke("series:N", scale=colours, legend=legend),
        strokeDash=alt.StrokeDash("series:N", scale=dashes, legend=legend),
    )  # fmt: skip
    spread = base.mark_rule(strokeWidth=2, opacity=0.75, aria=False).encode(
        x=axis, y=alt.Y("low:Q", title=y), y2="high:Q", stroke=alt.Stroke("series:N", scale=colours, legend=legend)
    )
    dots = base.mark_point(size=60, strokeWidth=1.5).encode(
        x=axis,
        y=side,
        fill=alt.Fill("series:N", scale=colours, legend=legend),
        stroke=alt.Stroke("series:N", scale=colours, legend=legend),
        shape=alt.Shape("series:N", scale=shapes, legend=legend),
        opacity=alt.Opacity("strength:Q", scale=None, legend=None),
        description="words:N",
        tooltip=[
            alt.Tooltip("x:N", title=x),
            alt.Tooltip("series:N", title="of"),
            alt.Tooltip("shown:N", title="95%"),
            alt.Tooltip("n:N", title="n"),
        ],
    )
    sure = any(not math.isnan(point.value.low) for point in points)
    layers = [line, *([spread] if sure else []), *([dots] if marks else [])]
    if end is not None:
        border = alt.Chart(alt.InlineData(values=[{"x": end[0], "words": end[1]}])).mark_rule(strokeDash=[5, 4], stroke=INK, opacity=0.7)
        layers.insert(0, border.encode(x="x:Q", description="words:N", tooltip=alt.Tooltip("words:N", title="line")))
    return Chart.of(name, words, alt.layer(*layers), height=height, width=width, columns=max(1, width // 150))


def _values(point: Point, digits: int) -> dict[str, object]:
    shown = point.value.shown(digits)
    ends = {end: None if math.isnan(value) else value for end, value in (("low", point.value.low), ("high", point.value.high))}
    words = f"{point.x}, {point.series.name}: {shown}" + (f", n = {point.n:,}" if point.n else "")
    more = {"shown": shown, "n": f"{point.n:,}" if point.n else "not told", "words": words}
    look = {"aside": point.aside, "strength": 0.4 if point.aside else 1.0}
    return {"x": point.x, "series": point.series.name, "value": point.value.value, **ends, **more, **look}


def thinned(rows: Sequence[Row], most: int = MOST_POINTS) -> list[Row]:
    """At most so many rows, evenly, the last one among them."""
    step = max(1, math.ceil(len(rows) / most))
    return list(rows[::-1][::step][::-1])
