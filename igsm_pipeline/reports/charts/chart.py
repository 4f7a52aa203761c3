"""A finished chart: what a page embeds, and the drawing that stands there without JavaScript and on paper."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import altair as alt
import vl_convert

from igsm_pipeline.reports.charts.theme import CONFIG

WIDTH = 780
"""Pixels of a chart that has a page's width to itself."""
HALF = 520
"""Pixels of one of two charts side by side."""
PRINT = "#1c2330"
"""The text colour of images that stand alone."""
Spec = dict[str, Any]
_LIBRARIES = "window.vegaEmbed = vegaEmbed;"
_MARK = re.compile(r'<(path|rect|line)( [^<]*?aria-label="([^"]*)"[^<]*?)/>')
_IDENTITY = re.compile(r'(\bid="|url\(#|href="#)')


@dataclass(frozen=True)
class Chart:
    """A chart with a name and a description.

    Attributes:
        name: of its files, and its anchor in a page.
        words: what it shows, for who cannot see it.
        spec: Vega-Lite.
    """

    name: str
    words: str
    spec: Spec

    @classmethod
    def of(
        cls, name: str, words: str, drawn: alt.Chart | alt.LayerChart | alt.FacetChart, *, height: int, width: int = WIDTH, columns: int = 1
    ) -> Chart:
        """Size and look given to a bare Altair chart.

        Args:
            name, words: see the class.
            drawn: without size and configuration.
            height: pixels of the plot itself.
            width: pixels of the whole drawing; a page makes it as wide as its place.
            columns: of the legend, where there is that room.
        """
        spec = drawn.properties(width=width, height=height).to_dict()
        spec["autosize"] = {"type": "fit-x", "contains": "padding"}
        spec["config"] = {**CONFIG, "legend": {**CONFIG["legend"], "columns": columns}}
        spec["padding"] = {"left": 2, "right": 12, "top": 4, "bottom": 4}
        return cls(name, words, spec)

    @cached_property
    def svg(self) -> str:
        """An ``<svg>`` element that follows the text colour around it; hovering a mark shows its words without any script."""
        text = vl_convert.vegalite_to_svg(self.spec)
        text = _MARK.sub(r"<\1\2><title>\3</title></\1>", text[text.index("<svg") :])
        text = _IDENTITY.sub(rf"\g<1>{self.name}-", text)
        words = self.words.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
        return text.replace("<svg ", f'<svg role="img" aria-label="{words}" ', 1)

    def png(self, scale: float = 1.5) -> bytes:
        """The drawing in black on white."""
        paper = '<rect width="100%" height="100%" fill="#ffffff"/>'
        text = self.svg.replace(">", f">{paper}", 1).replace("currentColor", PRINT)
        return bytes(vl_convert.svg_to_png(text, scale=scale))


def value_scale(domain: tuple[float, float] | None) -> alt.Scale:
    """The scale of a value axis: with these ends, or as the values have it."""
    return alt.Scale(zero=False, nice=True) if domain is None else alt.Scale(domain=list(domain), zero=False, nice=False)


def lowest_ten(values: Sequence[float]) -> float:
    """The multiple of ten at or below the least of some percentages, at most 50: where an axis begins that loses none of them."""
    return min(50.0, 10.0 * math.floor(min((value for value in values if not math.isnan(value)), default=0.0) / 10))


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """A file as a URI that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@lru_cache(maxsize=1)
def live_charts() -> str:
    """The JavaScript libraries that draw specifications in a browser (Vega, Vega-Lite, Vega-Embed), as one script."""
    return str(vl_convert.javascript_bundle(_LIBRARIES))
