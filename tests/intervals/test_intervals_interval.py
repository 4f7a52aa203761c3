"""One interval, written one way, and the same whether Python or DuckDB counts."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from igsm_pipeline.catalog.catalog import build_catalog, open_catalog
from igsm_pipeline.intervals.interval import UNDEFINED, Interval, of_columns
from igsm_pipeline.intervals.share import share


@pytest.mark.parametrize(
    ("interval", "plain", "percent"),
    [
        (Interval(0.15, 0.112, 0.19), "0.15 (0.11 to 0.19)", "15.0 (11.2 to 19.0)"),
        (Interval(0.5, math.nan, math.nan, 1), "0.50", "50.0"),
        (UNDEFINED, "-", "-"),
        (share(0, 0), "-", "-"),
        (Interval(-0.1, -0.2, 0.0), "-0.10 (-0.20 to 0.00)", "-10.0 (-20.0 to 0.0)"),
    ],
)
def test_an_interval_is_written_one_way(interval: Interval, plain: str, percent: str) -> None:
    assert interval.shown() == plain
    assert interval.percent() == percent


def test_cells_of_a_table_and_back_are_the_same_interval_and_nothing_is_none() -> None:
    found = Interval(0.5, 0.25, 0.75)
    assert found.columns("mcc") == {"mcc": 0.5, "mcc_low": 0.25, "mcc_high": 0.75}
    assert list(found.columns("rate", "")) == ["rate", "low", "high"]
    assert list(found.columns("baseline_rate", "baseline")) == ["baseline_rate", "baseline_low", "baseline_high"]
    for name, ends in (("x", None), ("rate", ""), ("baseline_rate", "baseline")):
        assert of_columns(found.columns(name, ends), name, ends) == found
    assert set(UNDEFINED.columns("x").values()) == {None}
    assert math.isnan(of_columns({"x": None}, "x").value)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 50), (50, 50), (7, 50), (2013, 4096)])
def test_a_share_is_the_same_in_python_and_in_duckdb(tmp_path: Path, hits: int, n: int) -> None:
    build_catalog([], tmp_path)
    with open_catalog(tmp_path) as connection:
        found = connection.execute(f"SELECT wilson_low({hits}, {n}), wilson_high({hits}, {n})").fetchone()
    expected = share(hits, n)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert expected.hits == hits
