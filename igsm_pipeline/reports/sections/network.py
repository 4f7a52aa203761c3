"""Where in the network? What probes read off each layer, by distance to the question. (Figure 10.)"""

from __future__ import annotations

from collections.abc import Sequence

from igsm_pipeline.intervals.interval import Interval, of_columns
from igsm_pipeline.reports.charts.areas import Cell, draw_cells
from igsm_pipeline.reports.charts.chart import HALF
from igsm_pipeline.reports.findings import Row
from igsm_pipeline.reports.page import Page, interval_cell
from igsm_pipeline.reports.results import Results, listed, said
from igsm_pipeline.reports.sections.opening import percent


def write_network(page: Page, results: Results) -> None:
    """The section; nothing where no linear probe was scored by distance."""
    rows = results.distances
    if not rows:
        page.missing("Where in the network?", "no probe has been scored by layer and distance")
        return
    parts = list(dict.fromkeys(str(row["slice"]) for row in rows))
    reader = "a linear probe" if rows[0]["probe"] == "linear" else "a V-probe"
    page.section("Where in the network?", _finding(results, parts[0], [row for row in rows if row["slice"] == parts[0]]))
    page.how(
        f"Each cell: of the quantities that the answer needs, the share that {reader} of that layer calls needed before the first word.",
        "Distance is the number of steps from the quantity to the one asked for; layer 0 is the embedding, which has seen nothing but the name.",
    )
    page.charts_beside(
        (
            results.slice_name(part),
            draw_cells(f"layers_{number}", _words(results, part), _cells(rows, part), x="distance to the question", y="layer", width=HALF),
        )
        for number, part in enumerate(parts)
    )
    for number, part in enumerate(parts):
        _table(page, results, number, [row for row in rows if row["slice"] == part])


def _words(results: Results, part: str) -> str:
    return f"Share of needed quantities called needed on {results.slice_name(part)}, by layer and distance to the question."


def _value(row: Row) -> Interval:
    return of_columns(row, "accuracy")


def _cells(rows: Sequence[Row], part: str) -> list[Cell]:
    return [
        Cell(row["distance"], row["layer"], percent(_value(row)), row["n"]) for row in rows if row["slice"] == part and row["accuracy"] is not None
    ]


def _finding(results: Results, part: str, rows: Sequence[Row]) -> str:
    last = max(row["layer"] for row in rows)
    best = []
    for distance in sorted({row["distance"] for row in rows}):
        row = max((row for row in rows if row["distance"] == distance), key=lambda row: (row["accuracy"], -row["layer"]))
        best.append(f"{distance} step{'s' if distance > 1 else ''} away at layer {row['layer']}: {said(_value(row))}")
    return f"On {results.slice_name(part)}, what the answer needs is best read, of layers 0 to {last}: {listed(best)}."


def _table(page: Page, results: Results, number: int, rows: Sequence[Row]) -> None:
    distances = sorted({row["distance"] for row in rows})
    cells = {(row["layer"], row["distance"]): row for row in rows}
    lines = [
        (str(layer), *(interval_cell(_value(cells[layer, distance])) if (layer, distance) in cells else None for distance in distances))
        for layer in sorted({row["layer"] for row in rows}, reverse=True)
    ]
    names = ("slice", "layer", "distance", "n", "accuracy", "accuracy_low", "accuracy_high")
    head = ("layer", *(f"distance {distance}" for distance in distances))
    page.fold(
        f"layers_{number}", head, lines, "Percent.", (names, [[row[name] for name in names] for row in rows]), results.slice_name(rows[0]["slice"])
    )
