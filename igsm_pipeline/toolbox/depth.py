"""Figure 9 over lengths: what each size solves by number of operations, and how far from the question its state knows what is needed.

Each size has a curve of means over its seeds; the runs stand pale beside it, each with its own interval by problem. A mean over two seeds has no
interval worth drawing: the table of the section on seeds gives it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow.parquet as pq

from igsm_pipeline.experiments.experiment import Member
from igsm_pipeline.intervals.interval import Interval, of_columns
from igsm_pipeline.probes.stage import DISTANCES
from igsm_pipeline.reports.charts.chart import HALF, Chart
from igsm_pipeline.reports.charts.curves import Point, draw_curves, looks
from igsm_pipeline.reports.page import Page, interval_cell
from igsm_pipeline.reports.results import slice_name
from igsm_pipeline.reports.sections.opening import percent
from igsm_pipeline.store import Store
from igsm_pipeline.toolbox.found import Found
from igsm_pipeline.toolbox.seeds import model_of, size_of

Kind = Literal["op", "distance"]


@dataclass(frozen=True)
class AtLength:
    """One number of one run.

    Attributes:
        size: labels of the member's axes, without seeds.
        run: which model.
        kind: what is counted along the axis.
        slice: the slice that was asked about; "" for ``op``, whose problems are those of that op.
        length: operations of the problem, or steps from the question down to the quantity.
        value: share solved, or share of needed quantities that the V-probe of nece calls needed; 95% by problem.
    """

    size: str
    run: str
    kind: Kind
    slice: str
    length: int
    value: Interval


def at_lengths(found: Sequence[Found], store: Store) -> list[AtLength]:
    """Every number of the finished members, in the grid's order; a model that is probed with several seeds counts once per probe."""
    told: list[AtLength] = []
    solved = set[str]()
    for one in found:
        member = one.member
        if model_of(member) not in solved:
            told += [_number(member, "op", "", int(row.op or 0), row.correct) for row in one.by_op]
            solved |= {model_of(member)} if one.by_op else set()
        for unit in one.scored:
            for row in pq.read_table(store.path(unit) / DISTANCES.files, filters=[("probe", "=", "v_probe")]).to_pylist():
                told.append(_number(member, "distance", str(unit.labels["slice"]), int(row["distance"]), of_columns(row, "accuracy")))
    return told


def _number(member: Member, kind: Kind, part: str, length: int, value: Interval) -> AtLength:
    return AtLength(size_of(member) or model_of(member), member.key, kind, part, length, value)


def write_at_lengths(page: Page, found: Sequence[AtLength], op_max: int) -> None:
    """The section; nothing where there are fewer than two sizes or lengths."""
    charts = []
    for kind, part in dict.fromkeys((one.kind, one.slice) for one in found):
        own = [one for one in found if (one.kind, one.slice) == (kind, part)]
        if len({one.size for one in own}) > 1 and len({one.length for one in own}) > 1:
            charts.append((_title(kind, part, op_max), _chart(kind, part, own)))
    if not charts:
        return
    page.section("Which one goes far?")
    page.how(
        "Problems by number of operations; and, of quantities that the answer needs, those that the state holds for needed, by how many steps lie "
        "between the question and them.",
        "Lines are means over seeds; pale marks are the runs, each with its interval. Where lines part to the right, sizes differ in length.",
    )
    page.charts_beside(charts)
    head = ("member", "of", "problems", "length", "share, %")
    lines = [(one.run, one.kind, one.slice or "-", one.length, interval_cell(one.value)) for one in found]
    names = ("size", "run", "kind", "slice", "length", "share", "share_low", "share_high", "n")
    file = [(one.size, one.run, one.kind, one.slice, one.length, *one.value[:3], one.value.n) for one in found]
    page.fold("at_lengths", head, lines, "95% by problem, of each run alone.", (names, file))


def _title(kind: Kind, part: str, op_max: int) -> str:
    return "Solved, by number of operations" if kind == "op" else f"Known to be needed, by distance, {slice_name(part, op_max)}"


def _chart(kind: Kind, part: str, found: Sequence[AtLength]) -> Chart:
    series = looks(list(dict.fromkeys(one.size for one in found)))
    points = []
    for size, look in series.items():
        own = [one for one in found if one.size == size]
        for length in sorted({one.length for one in own}):
            points.append(Point(length, look, percent(_mean(one.value for one in own if one.length == length))))
        if len({one.run for one in own}) > 1:
            points += [Point(one.length, look, percent(one.value), one.value.n, aside=True) for one in own]
    name = "by_op" if kind == "op" else f"by_distance_{part.replace('<', '').replace('=', '')}"
    words = (
        "Share of problems solved, by size and number of operations." if kind == "op" else "Share of needed quantities known, by size and distance."
    )
    x, y = ("operations", "fully correct, %") if kind == "op" else ("steps from the question", "known to be needed, %")
    return draw_curves(name, words, points, x=x, y=y, width=HALF)


def _mean(values: Iterable[Interval]) -> Interval:
    """The mean over seeds; one run keeps its interval."""
    own = list(values)
    return own[0] if len(own) == 1 else Interval(sum(one.value for one in own) / len(own), math.nan, math.nan)
