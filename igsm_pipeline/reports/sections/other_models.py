"""How do other models do? Accuracy by number of operations of anyone's models, asked through Inspect. (Figures 2 and 15.)"""

from __future__ import annotations

import math
from collections.abc import Sequence

from igsm_pipeline.evaluations.shares import GROUP
from igsm_pipeline.intervals.interval import Interval, of_columns
from igsm_pipeline.reports.charts.chart import Chart
from igsm_pipeline.reports.charts.curves import Point, draw_curves, looks
from igsm_pipeline.reports.charts.theme import GREY, STROKE, Series
from igsm_pipeline.reports.findings import Row
from igsm_pipeline.reports.page import Page, interval_cell
from igsm_pipeline.reports.paper import FIGURES_2_15
from igsm_pipeline.reports.results import Results, said
from igsm_pipeline.reports.sections.opening import percent

TITLE = "How do other models do?"
MEASURES = {"right_answer": "right answers", "fully_correct": "fully correct solutions"}


def write_other_models(page: Page, results: Results) -> None:
    """The section; nothing, not even a note, for a member that names no logs."""
    rows = results.llm_shares
    if not rows:
        return
    page.section(TITLE, *_findings(rows))
    for measure, words in MEASURES.items():
        chosen = [row for row in rows if row["measure"] == measure]
        if any(row["op"] is not None for row in chosen):
            how = f"Share of {words} by number of operations, on problems of the test split, with 95% intervals."
            caption = "Figures 2 and 15: right answers of other models." if measure == "right_answer" else "The same, every step checked."
            page.chart(draw_by_op(measure, chosen), caption, how, *([FIGURES_2_15] if measure == "right_answer" else []))
    names = (*GROUP, "measure", "op", "n", "share", "share_low", "share_high")
    cells = [
        (str(row["model"]), _asked(row), MEASURES[row["measure"]], row["n"], interval_cell(of_columns(row, "share")))
        for row in rows
        if row["op"] is None
    ]
    page.fold(
        "other_models",
        ("model", "asked", "what", "n", "%"),
        cells,
        "All numbers of operations together; the file to save has each.",
        (names, [[row[name] for name in names] for row in rows]),
    )


def _asked(row: Row) -> str:
    """How the questions were asked, in a few words."""
    style = {"answer": "answer alone", "steps": "step by step"}.get(str(row["style"]), "style not told")
    shots = "unknown examples" if row["shots"] is None else f"{row['shots']} example{'s' * (row['shots'] != 1)}"
    order = {"qp": "question first", "pq": "question last"}.get(str(row["format"]), "order not told")
    return f"{style}, {shots}, mod {row['modulus'] or 'unknown'}, {order}"


def _findings(rows: Sequence[Row]) -> list[str]:
    """A sentence per curve: all operations together, and the longest problems."""
    told = []
    for whole in (row for row in rows if row["op"] is None):
        own = (*GROUP, "measure")
        parts = [row for row in rows if row["op"] is not None and all(row[name] == whole[name] for name in own)]
        last = f"; at {parts[-1]['op']} operations {said(of_columns(parts[-1], 'share'))}" if len(parts) > 1 else ""
        told.append(f"{whole['model']} ({_asked(whole)}): {MEASURES[whole['measure']]} {said(of_columns(whole, 'share'))} of {whole['n']:,}{last}.")
    return told


def draw_by_op(name: str, rows: Sequence[Row]) -> Chart:
    """Accuracy by number of operations, a curve per model and way of asking, and chance as a dotted line.

    Args:
        name: of the chart.
        rows: of the table ``llm_by_op``, of one measure; those over all operations are left out.
    """
    rows = [row for row in rows if row["op"] is not None]
    ways = {_asked(row) for row in rows}
    named = [str(row["model"]) + (f", {_asked(row)}" if len(ways) > 1 else "") for row in rows]
    series = looks(list(dict.fromkeys(named)))
    points = [Point(row["op"], series[one], percent(of_columns(row, "share")), row["n"]) for one, row in zip(named, rows, strict=True)]
    ops = sorted({row["op"] for row in rows})
    for modulus in sorted({row["modulus"] for row in rows if row["modulus"]} if name == "right_answer" else ()):
        chance = Series(f"chance, 1 in {modulus}", GREY, STROKE, dotted=True)
        points += [Point(op, chance, Interval(100 / modulus, math.nan, math.nan)) for op in ops]
    words = f"Share of {MEASURES[rows[0]['measure']]} of other people's models by number of operations, with 95% intervals. {FIGURES_2_15}"
    return draw_curves(f"other_models_{name}", words, points, x="operations", y=f"{MEASURES[rows[0]['measure']]}, %")
