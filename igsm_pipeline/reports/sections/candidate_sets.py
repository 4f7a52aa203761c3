"""Does what it knows rest on which quantities are asked about? The same probes on every candidate set, needed and other quantities apart."""

from __future__ import annotations

from collections.abc import Sequence

from igsm_pipeline.intervals.interval import Interval, of_columns
from igsm_pipeline.reports.charts.chart import HALF
from igsm_pipeline.reports.charts.intervals import Mark, draw_intervals
from igsm_pipeline.reports.charts.theme import BLUE, GREY, ORANGE, PURPLE, Series
from igsm_pipeline.reports.findings import Row
from igsm_pipeline.reports.page import Cell, Page, interval_cell
from igsm_pipeline.reports.results import Results, listed, no_evidence, task_name
from igsm_pipeline.reports.sections.opening import percent

SETS = {
    "all": Series("all, also pairs that do not exist", GREY, "cross"),
    "existing": Series("those of the problem", BLUE, "circle"),
    "text": Series("those that the text names", ORANGE, "square"),
    "graph": Series("those of the dependency graph", PURPLE, "triangle-up"),
}
"""How the candidate sets are drawn and called, the paper's first."""
READERS = {"v_probe": "V-probe", "random": "random weights", "text": "text alone", "majority": "most common answer"}
SIDES = {"unnecessary": "not needed for the answer", "necessary": "needed for the answer"}
RESULT_5 = ("dep", "can_next")
"""Tasks of which the paper says that the model knows them of quantities that the answer does not need, too (result 5)."""
Cells = dict[tuple[str, str, str, str], Row]


def about_result_5(results: Results, part: str) -> list[str]:
    """One sentence on quantities that the answer does not need, among those that exist; none where no sets stand side by side."""
    rows = _cells(results.candidate_sets, part)
    found = []
    for task in RESULT_5:
        row = rows.get((task, "existing", "v_probe", "unnecessary"))
        if row is None or row["balanced_accuracy"] is None:
            continue
        floors = {"random weights": of_columns(row, "gain"), "the text alone": of_columns(row, "gain_over_text")}
        words = [f"{100 * gain.value:+.1f} ({100 * gain.low:.1f} to {100 * gain.high:.1f}) over {name}" for name, gain in floors.items()]
        unsure = [name for name, gain in floors.items() if no_evidence(gain)]
        more = f", no evidence beyond {listed(unsure)}" if unsure else ""
        found.append(f"{task_name(task)} {of_columns(row, 'balanced_accuracy').percent()} %, {listed(words)}{more}")
    where = f"Of quantities that exist and that the answer does not need, on {results.slice_name(part)} the V-probe tells, points balanced: "
    return [where + "; ".join(found) + "."] if found else []


def write_candidate_sets(page: Page, results: Results) -> None:
    """The part; nothing where no sets stand side by side."""
    rows = results.candidate_sets
    if not rows:
        return
    page.part("Does it rest on what is asked about?")
    page.how(
        "The same probes are asked about quantities of four kinds. Pairs of things that have nothing to do with each other need no reasoning: "
        "whether they exist can be told from the words.",
        "A model that knows is as good where only real quantities are asked about, needed for the answer or not.",
    )
    for number, part in enumerate(dict.fromkeys(row["slice"] for row in rows)):
        _one_slice(page, results, number, part)


def _cells(rows: Sequence[Row], part: str) -> Cells:
    return {(row["task"], row["candidates"], row["reader"], row["subset"]): row for row in rows if row["slice"] == part}


def _one_slice(page: Page, results: Results, number: int, part: str) -> None:
    cells = _cells(results.candidate_sets, part)
    tasks = list(dict.fromkeys(task for task, _, _, _ in cells))
    sets = [name for name in SETS if any(key[1] == name for key in cells)]
    charts = []
    for side, words in SIDES.items():
        marks = [
            Mark(task_name(task), SETS[name], percent(value), cells[task, name, "v_probe", side]["n"])
            for task in tasks
            for name in sets
            if (value := _score(cells, task, name, "v_probe", side)) is not None
        ]
        if marks:
            told = f"Balanced accuracy of V-probes on {results.slice_name(part)}, quantities {words}, by candidate set."
            charts.append((words, draw_intervals(f"sets_{side}_{number}", told, marks, axis="balanced accuracy, %", domain="high", width=HALF)))
    page.charts_beside(charts)
    head = ("question, quantities", *(SETS[name].name for name in sets))
    lines: list[list[Cell]] = []
    for task in tasks:
        for side in ("all", *SIDES):
            if any((task, name, "v_probe", side) in cells for name in sets):
                asked = task_name(task) + ("" if side == "all" else f", {SIDES[side]}")
                lines.append([asked, *(interval_cell(_score(cells, task, name, "v_probe", side)) for name in sets)])
    page.table(head, lines, f"Balanced accuracy of the V-probe in percent, 95% by problem, {results.slice_name(part)}.")
    floors: list[list[Cell]] = [
        [f"{task_name(task)}, {said}", *(interval_cell(_score(cells, task, name, reader, "all")) for name in sets)]
        for task in tasks
        for reader, said in READERS.items()
    ]
    names = (
        "task", "slice", "candidates", "reader", "subset", "n", "num_problems", "positives",
        *(f"{name}{end}" for name in ("accuracy", "balanced_accuracy", "gain", "gain_over_text") for end in ("", "_low", "_high")),
    )  # fmt: skip
    file = [[row[name] for name in names] for row in cells.values()]
    page.fold(f"candidate_sets_{number}", ("question, reader", *head[1:]), floors, "Balanced accuracy in percent beside its floors.", (names, file))


def _score(cells: Cells, task: str, name: str, reader: str, side: str) -> Interval | None:
    row = cells.get((task, name, reader, side))
    return None if row is None or row["balanced_accuracy"] is None else of_columns(row, "balanced_accuracy")
