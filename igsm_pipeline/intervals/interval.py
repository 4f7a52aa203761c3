"""A number with its 95% interval, and how it is written."""

from __future__ import annotations

import math
from typing import NamedTuple


class Interval(NamedTuple):
    """A value with its 95% interval.

    Attributes:
        value: nan where it is not defined (no data).
        low: the interval's low end; nan where there is none (one observation only).
        high: its high end.
        n: what the interval counts: trials of a share, problems of a resampled score.
    """

    value: float
    low: float
    high: float
    n: int = 0

    @property
    def hits(self) -> int:
        """Successes, of a share."""
        return round(self.value * self.n) if self.n else 0

    def shown(self, digits: int = 2, scale: float = 1.0) -> str:
        """As text: ``0.15 (0.11 to 0.19)``; without an interval the value alone; "-" where there is none.

        Args:
            digits: behind the point.
            scale: what the numbers are multiplied by; 100 gives percent.
        """
        if math.isnan(self.value):
            return "-"
        low, high = self.low, self.high
        ends = "" if math.isnan(low) or math.isnan(high) else f" ({scale * low:.{digits}f} to {scale * high:.{digits}f})"
        return f"{scale * self.value:.{digits}f}{ends}"

    def percent(self) -> str:
        """As text, in percent: ``97.3 (96.1 to 98.2)``."""
        return self.shown(1, 100)

    def columns(self, name: str, ends: str | None = None) -> dict[str, float | None]:
        """As cells of a table: ``name``, ``<ends>_low`` and ``<ends>_high`` (``ends`` is ``name`` if not given; "" gives ``low`` and ``high``).

        What is not defined is None.
        """
        before = f"{name}_" if ends is None else f"{ends}_" if ends else ""
        cells = {name: self.value, f"{before}low": self.low, f"{before}high": self.high}
        return {key: None if math.isnan(value) else value for key, value in cells.items()}


UNDEFINED = Interval(math.nan, math.nan, math.nan)


def from_columns(value: float | None, low: float | None, high: float | None) -> Interval:
    """An interval from cells of a table, where None says undefined."""
    cells = [math.nan if cell is None else float(cell) for cell in (value, low, high)]
    return Interval(cells[0], cells[1], cells[2])
