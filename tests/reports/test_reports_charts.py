"""Charts say their numbers to whoever hovers or cannot see, follow the page's colours, and are the same twice."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from igsm_pipeline.intervals.interval import Interval
from igsm_pipeline.reports.charts.areas import Cell, Part, draw_cells, draw_stack
from igsm_pipeline.reports.charts.chart import Chart, lowest_ten
from igsm_pipeline.reports.charts.curves import Point, draw_curves, looks, thinned
from igsm_pipeline.reports.charts.intervals import Mark, draw_intervals
from igsm_pipeline.reports.charts.theme import PAPER, PROBES

SVG = "{http://www.w3.org/2000/svg}"


def marks() -> list[Mark]:
    return [
        Mark("op 3 & more", PROBES["v_probe"], Interval(91.25, 89.0, 93.0), 1024),
        Mark("op 3 & more", PROBES["random"], Interval(61.0, 59.0, 63.0), 1024),
        Mark("op 3 & more", PAPER, Interval(99.8, math.nan, math.nan)),
        Mark("nothing", PROBES["v_probe"], Interval(math.nan, math.nan, math.nan)),
    ]


def drawn() -> dict[str, Chart]:
    series = looks(["a", "b"])
    points = [Point(x, series[name], Interval(10.0 * x, 5.0, 40.0), 7) for name in series for x in (1, 2)]
    return {
        "intervals": draw_intervals("i", "some words", marks(), axis="percent", lines={"chance": 50.0}),
        "curves": draw_curves("c", "some words", points, x="operations", y="percent", end=(1.5, "the training ends")),
        "stack": draw_stack("s", "some words", [Part("op 3", "slip", 3, 10), Part("op 3", "cut", 2, 10)], axis="percent"),
        "cells": draw_cells(
            "m", "some words", [Cell(1, 0, Interval(40.0, 30.0, 50.0), 9), Cell(2, 0, Interval(70.0, 60.0, 80.0), 9)], x="distance", y="layer"
        ),
    }


@pytest.fixture(scope="module")
def charts() -> dict[str, Chart]:
    return drawn()


TITLES = {
    "intervals": ["chance", "op 3 & more, V-probe, trained model: 91.2 (89.0 to 93.0), n = 1,024", "op 3 & more, the paper: 99.8"],
    "curves": ["the training ends", "1, a: 10.0 (5.0 to 40.0), n = 7", "2, b: 20.0 (5.0 to 40.0), n = 7"],
    "stack": ["op 3, slip: 3 of 10", "op 3, cut: 2 of 10"],
    "cells": ["layer 0, distance 1: 40.0 (30.0 to 50.0), n = 9"],
}


@pytest.mark.parametrize("kind", TITLES)
def test_hovering_a_drawn_mark_says_value_interval_and_n_without_a_script(charts: dict[str, Chart], kind: str) -> None:
    said = {title.text for title in ElementTree.fromstring(charts[kind].svg).iter(f"{SVG}title")}
    assert set(TITLES[kind]) <= said
    assert not [title for title in said if "nothing" in (title or "")], "a value that is not defined has no mark"


@pytest.mark.parametrize("kind", TITLES)
def test_a_drawing_is_one_image_with_words_and_takes_the_colour_of_its_page(charts: dict[str, Chart], kind: str) -> None:
    root = ElementTree.fromstring(charts[kind].svg)
    assert (root.get("role"), root.get("aria-label")) == ("img", "some words")
    inks = {text.get("fill") for text in root.iter(f"{SVG}text")} - {"#ffffff", "#111111"}
    assert inks == {"currentColor"}


@pytest.mark.parametrize("kind", TITLES)
def test_the_same_rows_are_drawn_to_the_same_bytes(charts: dict[str, Chart], kind: str) -> None:
    again = drawn()[kind]
    assert (again.svg, again.spec, again.png()) == (charts[kind].svg, charts[kind].spec, charts[kind].png())


def test_an_image_that_stands_alone_is_dark_on_white(charts: dict[str, Chart]) -> None:
    assert charts["stack"].png()[:8] == b"\x89PNG\r\n\x1a\n"
    assert charts["stack"].png() != charts["cells"].png()


def test_each_series_has_its_own_colour_and_its_own_shape() -> None:
    looked = [*PROBES.values(), PAPER]
    assert len({one.colour for one in looked}) == len({one.shape for one in looked}) == len(looked)


def test_more_parts_than_colours_are_summed_as_other() -> None:
    chart = draw_stack("s", "w", [Part("row", f"kind {number}", 1, 20) for number in range(9)], axis="percent")
    (rows,) = chart.spec["datasets"].values()
    names = [row["name"] for row in rows]
    assert names.count("other") == 3
    assert len(set(names)) == 7


def test_a_thinned_curve_keeps_its_end() -> None:
    assert [row["step"] for row in thinned([{"step": step} for step in range(10)], 4)] == [0, 3, 6, 9]


def test_an_axis_of_percentages_begins_below_all_of_them() -> None:
    assert lowest_ten([61.0, 99.0, math.nan]) == 50
    assert lowest_ten([61.0, 31.0]) == 30
