"""What all charts look like: Okabe and Ito's colours, which people with any colour vision can tell apart, and a shape for each of them.

Text, axes and grid are drawn in ``currentColor``, so that they follow the page by day and by night.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

INK = "currentColor"
BLUE, ORANGE, SKY, PURPLE, GREEN, VERMILLION, YELLOW, GREY = (
    "#0072B2", "#E69F00", "#56B4E9", "#CC79A7", "#009E73", "#D55E00", "#F0E442", "#8A8F99",
)  # fmt: skip
"""Source: Okabe and Ito, Color Universal Design. Green and vermillion never stand for a pair."""
STROKE = "M0,-1.6L0,1.6"
"""The shape of the paper's marks: a stroke, drawn dotted."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


@dataclass(frozen=True)
class Series:
    """What one kind of mark looks like.

    Attributes:
        name: as the legend says it.
        colour: of the mark and of its interval.
        shape: a Vega shape or an SVG path.
        dotted: drawn with a dotted line.
    """

    name: str
    colour: str
    shape: str = "circle"
    dotted: bool = False


PAPER = Series("the paper", INK, STROKE, dotted=True)
PROBES = {
    "v_probe": Series("V-probe, trained model", BLUE, "circle"),
    "random": Series("V-probe, random weights", ORANGE, "square"),
    "linear": Series("linear probe, trained model", SKY, "triangle-up"),
    "linear_random": Series("linear probe, random weights", PURPLE, "triangle-down"),
    "text": Series("trees on the text, no model", GREEN, "diamond"),
    "majority": Series("always the commonest answer", GREY, "cross"),
}
"""How probes and their controls are drawn and called."""

_QUIET = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        **_QUIET, "tickColor": INK, "domainColor": INK, "gridColor": INK, "gridOpacity": 0.16, "domainOpacity": 0.5, "tickOpacity": 0.5,
        "labelLimit": 230,
    },
    "axisX": {"labelOverlap": True},
    "axisY": {"domain": False, "ticks": False, "labelPadding": 8, "titlePadding": 12},
    "legend": {**_QUIET, "orient": "top", "title": None, "symbolSize": 90, "labelLimit": 320, "columnPadding": 16, "rowPadding": 3, "offset": 8},
}  # fmt: skip
