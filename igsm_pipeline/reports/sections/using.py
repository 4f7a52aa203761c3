"""Does it use it? Where exchanged states make the model compute what another question asks for."""

from __future__ import annotations

from collections.abc import Sequence

from igsm_pipeline.intervals.interval import of_columns
from igsm_pipeline.reports.charts.areas import Cell, draw_cells
from igsm_pipeline.reports.charts.chart import HALF, Chart
from igsm_pipeline.reports.findings import Row
from igsm_pipeline.reports.page import Page, interval_cell
from igsm_pipeline.reports.results import Results, listed, said
from igsm_pipeline.reports.sections.opening import percent

TITLE = "Does it use what it knows?"
DONORS = {"twin": "the same problem, asked something else", "unrelated": "an unrelated problem (control)", "random": "random directions (control)"}
PLACES = {
    "question": "question",
    "statements": "statements",
    "marker": "start of solution",
    "define": "first words",
    "after": "all but question",
    "all": "everything",
}
_CARRIES = 0.9
"""A place carries the choice at layers where at least this share of pairs is swapped."""


def write_using(page: Page, results: Results) -> None:
    """The section; nothing where no states were exchanged."""
    rows = results.interchange
    if not rows:
        asked = results.settings.experiment.get("interchange", {}).get("pairs", 0)
        page.missing(
            TITLE, f"it begins {asked:,} problems alike, whatever is asked" if asked else "no states were exchanged (interchange.pairs is 0)"
        )
        return
    page.section(TITLE, *_findings(rows))
    page.stated(results.claim("interchange"))
    page.how(
        "Two problems have the same statements and different questions. While the model reads one, its states at some place and layer are "
        "replaced by those it has while reading the other. Each cell: the share of pairs where it then begins with what the other asks for.",
        "Yellow: these states carry the choice. The control puts in the states of an unrelated problem, which know nothing of either question.",
    )
    page.charts_beside((DONORS[donor], _chart(rows, donor)) for donor in ("twin", "unrelated") if any(row["donor"] == donor for row in rows))
    for donor, words in DONORS.items():
        _table(page, donor, words, [row for row in rows if row["donor"] == donor])


def _findings(rows: Sequence[Row]) -> list[str]:
    """One sentence of where the choice lies, and one of the controls."""
    twin = {(row["place"], row["layer"]): row for row in rows if row["donor"] == "twin"}
    layers = sorted({layer for _, layer in twin})
    parts = []
    for place in ("question", "after", "define"):
        carries = [layer for layer in layers if (place, layer) in twin and twin[place, layer]["swapped"] >= _CARRIES]
        if carries:
            best = twin[place, carries[-1] if place == "question" else carries[0]]
            swapped = said(of_columns(best, "swapped"))
            where = f"at layer {carries[0]}" if len(carries) == 1 else f"from layer {carries[0]} to {carries[-1]}"
            parts.append(f"{where} it lies in the states of {_SAID[place]} (exchanged at layer {best['layer']}: {swapped} of pairs swapped)")
    alone = {layer for (place, layer), row in twin.items() if place not in ("after", "all") and row["swapped"] >= _CARRIES}
    together = [layer for layer in layers if layer not in alone and twin.get(("after", layer), {"swapped": 0.0})["swapped"] < _CARRIES]
    if parts and together:
        where = f"layer {together[0]}" if len(together) == 1 else f"layers {listed([str(layer) for layer in together])}"
        parts.append(f"at {where} neither the question nor all that follows it carries it alone")
    n = max((row["n"] for row in twin.values()), default=0)
    told = f"What the model computes first can be moved from one problem to another ({n:,} pairs): " + "; ".join(parts) + "."
    strongest = max((row for row in rows if row["donor"] in ("unrelated", "random")), key=lambda row: row["swapped"], default=None)
    first = told if parts else f"No single place carries what the model computes first for {_CARRIES:.0%} of {n:,} pairs."
    if strongest is None:
        return [first]
    of = "an unrelated problem" if strongest["donor"] == "unrelated" else "random directions"
    return [
        first,
        f"Controls reach {said(of_columns(strongest, 'swapped'))} at most ({of}, {PLACES[strongest['place']]}, layer {strongest['layer']}).",
    ]


_SAID = {"question": "the question", "after": "what comes after the question", "define": "the solution's first words alone"}


def _chart(rows: Sequence[Row], donor: str) -> Chart:
    cells = [Cell(PLACES[row["place"]], row["layer"], percent(of_columns(row, "swapped")), row["n"]) for row in rows if row["donor"] == donor]
    words = f"Share of pairs whose first parameter is swapped by the states of {DONORS[donor]}, by place and layer."
    return draw_cells(f"interchange_{donor}", words, cells, x="where", y="layer", width=HALF)


def _table(page: Page, donor: str, words: str, rows: Sequence[Row]) -> None:
    if not rows:
        return
    cells = {(row["layer"], row["place"]): row for row in rows}
    places = [place for place in PLACES if any(row["place"] == place for row in rows)]
    lines = [
        (str(layer), *(interval_cell(of_columns(cells[layer, place], "swapped")) for place in places))
        for layer in sorted({row["layer"] for row in rows}, reverse=True)
    ]
    names = (
        "donor",
        "place",
        "layer",
        "n",
        "swapped",
        "swapped_low",
        "swapped_high",
        "kept",
        "kept_low",
        "kept_high",
        "shift",
        "shift_low",
        "shift_high",
    )
    download = (names, [[row[name] for name in names] for row in rows])
    page.fold(f"interchange_{donor}", ("layer", *(PLACES[place] for place in places)), lines, "Percent of pairs swapped.", download, words)
