"""Does it need what can be read? What is solved once a concept is erased from all states of a layer, beside random directions."""

from __future__ import annotations

from collections.abc import Sequence

from igsm_pipeline.intervals.interval import Interval, of_columns
from igsm_pipeline.interventions.settings import NONE, RANDOM
from igsm_pipeline.reports.charts.chart import Chart
from igsm_pipeline.reports.charts.curves import Point, draw_curves, looks
from igsm_pipeline.reports.charts.theme import GREY, Series
from igsm_pipeline.reports.findings import Row
from igsm_pipeline.reports.page import Cell, Page, interval_cell
from igsm_pipeline.reports.results import Results, said, task_name
from igsm_pipeline.reports.sections.opening import percent

TITLE = "Does it need what can be read?"
_NAMES = ("correct", "gain", "kept", "useless")
_MOVED = ("moved", "moved_names")


def write_erasure(page: Page, results: Results) -> None:
    """The section; nothing where nothing was erased."""
    rows = results.erasure
    cells = [row for row in rows if row["erased"] != NONE]
    if not cells:
        page.missing(TITLE, "nothing was erased from the states (erasure.problems is 0)")
        return
    page.section(TITLE, *_findings(rows, results.erasure_reading))
    page.stated(results.claim("erasure"))
    where = "every state of one layer" if cells[0]["acts"] == "everywhere" else "the states behind names at one layer"
    page.how(
        "Whether a quantity just named is needed, computed or possible can be read from the state behind its name. The directions that tell it are "
        f"taken out of {where}; no linear reader finds it there any more. Then the model solves the same problems.",
        "Grey: random directions, as many, with as much of the states' spread. A concept that the model needs costs more than those.",
    )
    page.chart(
        _chart(rows), "Problems solved once something is erased after a layer, with 95% intervals.", "Pale marks are further random directions."
    )
    _solved(page, rows)
    _read(page, results.erasure_reading)


def _names_of(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["erased"] for row in rows if row["erased"] not in (NONE, RANDOM)))


def _worst(rows: Sequence[Row], like: Row) -> Row | None:
    """The random directions of the same layer and rank that cost most."""
    same = [row for row in rows if row["erased"] == RANDOM and (row["layer"], row["rank"]) == (like["layer"], like["rank"])]
    return min(same, key=lambda row: row["correct"], default=None)


def _findings(rows: Sequence[Row], read: Sequence[Row]) -> list[str]:
    """Where each concept costs most, beside the worst random directions; and whether it can be read again at the end."""
    (before,) = (row for row in rows if row["erased"] == NONE)
    found = [f"With nothing erased, {said(of_columns(before, 'correct'))} of {before['n']:,} problems are solved."]
    for name in _names_of(rows):
        row = min((row for row in rows if row["erased"] == name), key=lambda row: row["correct"])
        worst, mine = _worst(rows, row), of_columns(row, "correct")
        told = f"Without “{task_name(name)}” at layer {row['layer']}, where it costs most, {said(mine)} are"
        if worst is not None:
            other = of_columns(worst, "correct")
            apart = "" if mine.high < other.low else ": no evidence that the concept matters"
            told += f"; without the worst of its random directions {said(other)}{apart}"
        again = {
            state: next(
                (one for one in read if _is_last(one, read) and one["task"] == name and one["erased"] == state and layer == one["layer"]), None
            )
            for state, layer in ((NONE, 0), (name, row["layer"]))
        }
        if all(again.values()):
            values = [said(of_columns(one, "balanced_accuracy"), digits=1) for one in again.values() if one is not None]
            told += f". At the last layer it is read with {values[1]} then, with {values[0]} otherwise"
        found.append(told + ".")
    return found


def _is_last(row: Row, read: Sequence[Row]) -> bool:
    return bool(row["read_layer"] == max(one["read_layer"] for one in read))


def _chart(rows: Sequence[Row]) -> Chart:
    names = _names_of(rows)
    series = {
        **dict(zip(names, looks([task_name(name) for name in names]).values(), strict=True)),
        RANDOM: Series("random directions", GREY, "cross"),
    }
    points = []
    for row in rows:
        if row["erased"] != NONE:
            worst = row["erased"] != RANDOM or row is _worst(rows, row)
            points.append(Point(row["layer"], series[row["erased"]], percent(of_columns(row, "correct")), row["n"], aside=not worst))
    words = "Share of problems solved once a concept or random directions are taken out of all states after a layer."
    return draw_curves("erasure", words, points, x="erased after layer", y="fully correct, %")


def _called(row: Row) -> str:
    if row["erased"] == NONE:
        return "nothing"
    if row["erased"] == RANDOM:
        return f"random, rank {row['rank']}, draw {row['draw'] + 1}"
    return f"{task_name(row['erased'])}, rank {row['rank']}"


def _solved(page: Page, rows: Sequence[Row]) -> None:
    lines: list[list[Cell]] = []
    for row in rows:
        where = "-" if row["erased"] == NONE else str(row["layer"])
        moved = [f"{100 * row[name]:.1f}" for name in _MOVED]
        lines.append([_called(row), where, *moved, *(interval_cell(of_columns(row, name)) for name in _NAMES), row["first_error"] or "-"])
    head = (
        "erased",
        "layer",
        "states moved by, %",
        "behind names, %",
        "fully correct, %",
        "less than with nothing erased, points",
        "written as before, %",
        "with a useless quantity, %",
        "most frequent error",
    )
    names = (
        "erased",
        "layer",
        "rank",
        "draw",
        "acts",
        *_MOVED,
        "n",
        *(f"{name}{end}" for name in _NAMES for end in ("", "_low", "_high")),
        "first_error",
    )
    page.fold("erasure", head, lines, f"{rows[0]['n']:,} problems.", (names, [[row[name] for name in names] for row in rows]))


def _read(page: Page, read: Sequence[Row]) -> None:
    """What can be read at the layer itself and at the last one: a line per erased concept and layer, a column per task."""
    if not read:
        return
    tasks = list(dict.fromkeys(row["task"] for row in read))
    cells = {(row["erased"], row["layer"], row["rank"], row["draw"], row["read_layer"], row["task"]): row for row in read}
    lines: list[list[Cell]] = []
    for *key, read_layer in dict.fromkeys(key[:5] for key in cells):
        first = next(row for row in read if (row["erased"], row["layer"], row["rank"], row["draw"]) == tuple(key))
        scores: list[Interval | None] = []
        for task in tasks:
            row = cells.get((*key, read_layer, task))
            scores.append(None if row is None else of_columns(row, "balanced_accuracy"))
        lines.append([_called(first), str(key[1]), str(read_layer), *map(interval_cell, scores)])
    head = ("erased", "after layer", "read at layer", *(f"{task_name(task)}, %" for task in tasks))
    names = (
        "erased",
        "layer",
        "rank",
        "draw",
        "task",
        "read_layer",
        "n",
        "num_problems",
        *(f"balanced_accuracy{end}" for end in ("", "_low", "_high")),
    )
    note = f"Balanced accuracy of new linear probes behind a name, {read[0]['n']:,} sentences begun; 50 is chance of a yes-or-no question."
    page.fold("erasure_reading", head, lines, note, (names, [[row[name] for name in names] for row in read]), "what can be read then")
