"""A number with its 95% interval, and its text form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Interval(NamedTuple):
    """A value with its 95% interval.

    Attributes:
        value: the number; nan if it is undefined (no data).
        low: low end of the interval; nan if there is none (a single observation).
        high: high end of the interval.
        n: the number of observations: trials of a share, problems of a resampled score.
    """

    value: float
    low: float
    high: float
    n: int = 0

    @property
    def hits(self) -> int:
        """The number of successes behind a share."""
        return round(self.value * self.n) if self.n else 0

    def shown(self, digits: int = 2, scale: float = 1.0) -> str:
        """The number as text: ``0.15 (0.11 to 0.19)``. Without an interval it is the value alone, and "-" if the value is undefined.

        Args:
            digits: digits after the decimal point.
            scale: factor for the numbers; 100 gives percent.
        """
        if math.isnan(self.value):
            return "-"
        low, high = self.low, self.high
        ends = "" if math.isnan(low) or math.isnan(high) else f" ({scale * low:.{digits}f} to {scale * high:.{digits}f})"
        return f"{scale * self.value:.{digits}f}{ends}"

    def percent(self) -> str:
        """The number as text in percent: ``97.3 (96.1 to 98.2)``."""
        return self.shown(1, 100)

    def columns(self, name: str, ends: str | None = None) -> dict[str, float | None]:
        """The number as cells of a table: ``name``, ``<ends>_low``, ``<ends>_high`` (``ends`` is ``name`` by default; "" gives ``low``, ``high``).

        Undefined numbers are None.
        """
        low, high = _names_of_ends(name, ends)
        cells = {name: self.value, low: self.low, high: self.high}
        return {key: None if math.isnan(value) else value for key, value in cells.items()}


UNDEFINED = Interval(math.nan, math.nan, math.nan)


def of_columns(row: Mapping[str, Any], name: str, ends: str | None = None) -> Interval:
    """The interval whose cells ``Interval.columns`` made; an end that is None or missing is undefined."""
    cells = [math.nan if cell is None else float(cell) for cell in (row[name], *map(row.get, _names_of_ends(name, ends)))]
    return Interval(cells[0], cells[1], cells[2])


def _names_of_ends(name: str, ends: str | None) -> tuple[str, str]:
    before = f"{name}_" if ends is None else f"{ends}_" if ends else ""
    return f"{before}low", f"{before}high"
