"""When does it come, over trainings? Tokens at half of each gain, of members that are the same training with other seeds.

One training has one number for each measure; its interval by problem says nothing of another training. Here the trainings are the sample: means with
Student's interval over them, of tokens and of their ratios on the logarithm, because tokens at half of a gain differ by factors.

Ours: all of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow.parquet as pq

from igsm_pipeline.emergence.settings import SOLVED
from igsm_pipeline.emergence.stage import HALF_GAINS
from igsm_pipeline.emergence.stage import STAGE as EMERGENCE
from igsm_pipeline.intervals.bootstrap import Floats
from igsm_pipeline.intervals.hierarchy import mean_over_seeds
from igsm_pipeline.intervals.interval import Interval
from igsm_pipeline.reports.charts.chart import Chart
from igsm_pipeline.reports.charts.curves import Point, draw_curves, looks
from igsm_pipeline.reports.findings import Row
from igsm_pipeline.reports.page import Page, interval_cell
from igsm_pipeline.reports.results import listed
from igsm_pipeline.reports.sections.emergence import name_of
from igsm_pipeline.store import Store
from igsm_pipeline.toolbox.found import Found
from igsm_pipeline.toolbox.seeds import model_of, size_of

_MILLION = 1e6
FEWEST = 3
"""Ours: trainings behind an interval over them; with two, Student's reaches thirteen standard errors to each side: on a logarithm, anywhere."""


@dataclass(frozen=True)
class Half:
    """When one measure comes, over trainings of one size.

    Attributes:
        size: labels of the members' axes, without seeds; the experiment's name where there is no other axis.
        what: what is measured, in words.
        gain: mean gain of a training, -1 to 1; ``n`` counts trainings.
        tokens: geometric mean of the tokens at half of it; ``n`` counts the trainings that gained beyond doubt, the others have no such number.
        octaves: standard deviation over trainings of the binary logarithm of these tokens; nan with fewer than two.
        each: these tokens of each training.
    """

    size: str
    what: str
    gain: Interval
    tokens: Interval
    octaves: float
    each: tuple[float, ...]


@dataclass(frozen=True)
class Ratio:
    """How much later one measure comes than another, over trainings of one size.

    Attributes:
        size: as of ``Half``.
        what, than: the measures, in words.
        ratio: geometric mean of the ratio of their tokens; ``n`` counts the trainings that have both.
        each: the ratio in each of these trainings.
    """

    size: str
    what: str
    than: str
    ratio: Interval
    each: tuple[float, ...]

    @property
    def inverse(self) -> Ratio:
        """The same, the other way about."""
        value, low, high, number = self.ratio
        return Ratio(self.size, self.than, self.what, Interval(1 / value, 1 / high, 1 / low, number), tuple(1 / one for one in self.each))

    @property
    def sure(self) -> int:
        """-1: the first comes earlier beyond doubt, 1: later, 0: neither; with fewer than ``FEWEST`` trainings, in each of them."""
        low, high = (min(self.each, default=math.nan), max(self.each, default=math.nan)) if self.ratio.n < FEWEST else self.ratio[1:3]
        return int(low > 1) - int(high < 1)


def half_gains(found: Sequence[Found], store: Store) -> tuple[list[Half], list[Ratio]]:
    """Every measure of the sizes of which at least two trainings have been looked at, and the ratios of all pairs of them."""
    halves, ratios = list[Half](), list[Ratio]()
    for size, trainings in _trainings(found, store).items():
        if len(trainings) < 2:
            continue
        names = list(trainings[0])
        tokens = {name: np.array([_tokens(one.get(name)) for one in trainings]) for name in names}
        for name in names:
            gains = [float(one[name]["gain"]) for one in trainings if name in one]
            come = tokens[name][~np.isnan(tokens[name])]
            octaves = float(np.std(np.log2(come), ddof=1)) if len(come) > 1 else float("nan")
            halves.append(Half(size, name, _mean(gains), _geometric(come), octaves, tuple(come.tolist())))
        for first, second in combinations(names, 2):
            both = tokens[first] / tokens[second]
            ratios.append(Ratio(size, first, second, _geometric(both), tuple(both[~np.isnan(both)].tolist())))
    return halves, ratios


def _trainings(found: Sequence[Found], store: Store) -> dict[str, list[Mapping[str, Row]]]:
    """By size: of each training that was looked at, its rows of half gains by what is measured; one that is probed with several seeds counts once."""
    seen = set[str]()
    by_size: dict[str, list[Mapping[str, Row]]] = {}
    for one in found:
        for unit in one.units:
            if unit.stage == EMERGENCE.name and model_of(one.member) not in seen and store.check(unit).fresh:
                seen.add(model_of(one.member))
                rows = pq.read_table(store.path(unit) / HALF_GAINS.files).to_pylist()
                by_size.setdefault(size_of(one.member) or one.member.experiment, []).append({name_of(row): row for row in rows})
    return by_size


def _tokens(row: Row | None) -> float:
    return float("nan") if row is None or row["tokens"] is None else float(row["tokens"])


def _mean(values: Sequence[float] | Floats) -> Interval:
    """The mean, with Student's interval if it is over ``FEWEST`` trainings or more."""
    found = mean_over_seeds(values)
    return found if found.n >= FEWEST else Interval(found.value, math.nan, math.nan, found.n)


def _geometric(values: Floats) -> Interval:
    """The geometric mean of the values that are numbers above 0, with Student's interval on the logarithm."""
    logs = _mean(np.log(values[values > 0]))
    value, low, high = (math.exp(one) for one in logs[:3])
    return Interval(value, low, high, logs.n)


def write_when(page: Page, halves: Sequence[Half], ratios: Sequence[Ratio]) -> None:
    """The section; nothing where no size has two trainings that were looked at."""
    if not halves:
        return
    page.section("When does it come, over trainings?", *(_finding(size, halves, ratios) for size in dict.fromkeys(one.size for one in halves)))
    page.how(
        "Every training is one observation: the tokens at which half of its final gain is reached. Means are geometric, their intervals Student's "
        f"over trainings, of {FEWEST} or more.",
        "A training whose gain may be none has no such number and is left out; the column of trainings counts the others.",
    )
    for size in dict.fromkeys(one.size for one in halves):
        own = sorted((one for one in halves if one.size == size and one.tokens.n), key=lambda one: one.tokens.value)
        if own:
            page.chart(_chart(size, own), f"{size}: when half of each gain is reached.", "Means over trainings; pale marks are the trainings.")
    lines = [
        (
            one.size,
            one.what,
            interval_cell(one.gain),
            interval_cell(one.tokens, 2, 1 / _MILLION),
            f"{one.tokens.n} of {one.gain.n}",
            f"{one.octaves:.2f}",
        )
        for one in halves
    ]
    head = ("member", "of what", "gain, points", "half of it at, million tokens", "trainings", "spread, octaves")
    page.table(head, lines, "95% over trainings; spread: standard deviation of the binary logarithm of the tokens.")
    shown = [(one.size, one.what, one.than, interval_cell(one.ratio, 2, 1), one.ratio.n) for one in ratios]
    names = ("size", "what", "than", "ratio", "low", "high", "trainings")
    file = [(one.size, one.what, one.than, *one.ratio.columns("").values(), one.ratio.n) for one in ratios]
    page.fold("when_ratios", ("member", "of what", "than", "ratio of tokens", "trainings"), shown, "Below 1: it comes earlier.", (names, file))


def _chart(size: str, halves: Sequence[Half]) -> Chart:
    (look,) = looks([size]).values()
    points = [Point(_short(one.what), look, _in_millions(one.tokens), len(one.each)) for one in halves]
    points += [Point(_short(one.what), look, _in_millions(Interval(tokens, tokens, tokens)), aside=True) for one in halves for tokens in one.each]
    words = f"Training tokens at half of each gain, {size}: mean over trainings with its 95% interval, and each training."
    return draw_curves(f"when_{size}".replace(".", "_"), words, points, x="of what", y="million tokens", domain=None, digits=2)


def _short(what: str) -> str:
    """The name on an axis: "nece", "solved 3"."""
    inside = re.search(r"\((\w+)\)$", what)
    return inside[1] if inside else re.sub(r", (\w+) \w+$", r" \1", what)


def _in_millions(tokens: Interval) -> Interval:
    return Interval(tokens.value / _MILLION, tokens.low / _MILLION, tokens.high / _MILLION, tokens.n)


def _finding(size: str, halves: Sequence[Half], ratios: Sequence[Ratio]) -> str:
    """What comes before and after the hardest problems are solved, beyond doubt or in each of a few trainings."""
    own = {one.what: one for one in halves if one.size == size}
    solved = [what for what in own if what.startswith(f"{SOLVED}, ") and not what.endswith("all problems")]
    if not solved:
        return f"{size}: no solutions were looked at."
    last = solved[-1]
    own_ratios = [one for one in ratios if one.size == size and last in (one.what, one.than)]
    beside = [one if one.than == last else one.inverse for one in own_ratios]
    told = [one for one in beside if not one.what.startswith(SOLVED)]
    before, after = ([one.what for one in told if one.sure == side] for side in (-1, 1))
    parts = [f"{word} it that of {listed(names)}" for names, word in ((before, "before"), (after, "after")) if names]
    few = f" in each of {own[last].tokens.n} trainings" if own[last].tokens.n < FEWEST else ""
    come = f"comes {' and '.join(parts)}{few}" if parts else "comes neither before nor after it for any other question, beyond doubt"
    return f"{size}: of the gain of {last} half is reached at {own[last].tokens.shown(2, 1 / _MILLION)} million tokens; half of other gains {come}."
