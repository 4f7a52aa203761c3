"""Values with their 95% intervals, one row per thing compared and one mark per series: the form of most of the report's figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import altair as alt

from igsm_pipeline.intervals.interval import Interval
from igsm_pipeline.reports.charts.chart import WIDTH, Chart, lowest_ten, value_scale
from igsm_pipeline.reports.charts.theme import INK, Series

_STEP, _NARROW_STEP, _GAP, _LEGEND = 16, 12, 12, 170


@dataclass(frozen=True)
class Mark:
    """One value of one series.

    Attributes:
        row: what it is a value of.
        series: whose value it is.
        value: with its interval, in the axis's unit; without one, a mark alone.
        n: how many it was counted over; 0 where that is not known.
    """

    row: str
    series: Series
    value: Interval
    n: int = 0


def draw_intervals(
    name: str,
    words: str,
    marks: Sequence[Mark],
    *,
    axis: str,
    domain: tuple[float, float] | Literal["high"] | None = (0, 100),
    lines: Mapping[str, float] | None = None,
    digits: int = 1,
    width: int = WIDTH,
) -> Chart:
    """A row for each thing, a mark with its interval for each series; hovering says value, interval and n.

    Args:
        name, words: of the chart.
        marks: in the order of the rows.
        axis: title of the value axis.
        domain: ends of the value axis; "high": percent, from the ten below all values to 100; None: as the values have it.
        lines: name -> value of a dashed line across all rows (chance, no difference).
        digits: behind the point.
        width: pixels.
    """
    marks = [mark for mark in marks if not math.isnan(mark.value.value)]
    if domain == "high":
        domain = (lowest_ten([end for mark in marks for end in mark.value[:3]]), 100)
    rows = list(dict.fromkeys(mark.row for mark in marks))
    series = list({mark.series.name: mark.series for mark in sorted(marks, key=lambda mark: _order(mark, marks))}.values())
    names = [one.name for one in series]
    step = _STEP if len(names) < 4 else _NARROW_STEP
    data = alt.InlineData(values=[_values(mark, digits) for mark in marks])
    x = alt.X("value:Q", title=axis, scale=value_scale(domain), axis=alt.Axis(tickCount=6))
    y = alt.Y("row:N", sort=rows, title=None, scale=alt.Scale(paddingInner=_GAP / (_GAP + step * len(names)), paddingOuter=0.1))
    offset = alt.YOffset("series:N", sort=names)
    columns = max(1, width // max(_LEGEND, 7 * max(map(len, names), default=0) + 50))
    legend = None if len(names) < 2 else alt.Legend(symbolOpacity=1)
    colours = alt.Scale(domain=names, range=[one.colour for one in series])
    dashes = alt.Scale(domain=names, range=[[2, 2] if one.dotted else [1, 0] for one in series])
    base = alt.Chart(data)
    spread = base.mark_rule(strokeWidth=2, opacity=0.75, aria=False).encode(
        x=alt.X("low:Q", title=axis), x2="high:Q", y=y, yOffset=offset, stroke=alt.Stroke("series:N", scale=colours, legend=legend)
    )
    points = base.mark_point(size=70, strokeWidth=1.8, opacity=1).encode(
        x=x,
        y=y,
        yOffset=offset,
        fill=alt.Fill("series:N", scale=colours, legend=legend),
        stroke=alt.Stroke("series:N", scale=colours, legend=legend),
        strokeDash=alt.StrokeDash("series:N", scale=dashes, legend=legend),
        shape=alt.Shape("series:N", scale=alt.Scale(domain=names, range=[one.shape for one in series]), legend=legend),
        description="words:N",
        tooltip=[
            alt.Tooltip("row:N", title="of"),
            alt.Tooltip("series:N", title="by"),
            alt.Tooltip("shown:N", title="95%"),
            alt.Tooltip("n:N", title="n"),
        ],
    )
    layers: list[alt.Chart] = [*(_line(text, value) for text, value in (lines or {}).items()), spread, points]
    height = len(rows) * (step * len(names) + _GAP)
    return Chart.of(name, words, alt.layer(*layers), height=height, width=width, columns=columns)


def _order(mark: Mark, marks: Sequence[Mark]) -> int:
    return next(index for index, one in enumerate(marks) if one.series.name == mark.series.name)


def _values(mark: Mark, digits: int) -> dict[str, object]:
    shown, count = mark.value.shown(digits), f"{mark.n:,}" if mark.n else "not told"
    ends = {end: None if math.isnan(value) else value for end, value in (("low", mark.value.low), ("high", mark.value.high))}
    words = f"{mark.row}, {mark.series.name}: {shown}" + (f", n = {mark.n:,}" if mark.n else "")
    return {"row": mark.row, "series": mark.series.name, "value": mark.value.value, **ends, "shown": shown, "n": count, "words": words}


def _line(text: str, value: float) -> alt.Chart:
    data = alt.InlineData(values=[{"value": value, "words": text}])
    rule = alt.Chart(data).mark_rule(strokeDash=[5, 4], stroke=INK, opacity=0.7)
    encoded: alt.Chart = rule.encode(x="value:Q", description="words:N", tooltip=alt.Tooltip("words:N", title="line"))
    return encoded
