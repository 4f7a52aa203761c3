"""Is it the model? V-probes beside the same probes where there is nothing to read, and what the answers cost somebody who can read the states."""

from __future__ import annotations

from collections.abc import Sequence

from igsm_pipeline.intervals.interval import Interval, of_columns
from igsm_pipeline.reports.charts.intervals import Mark, draw_intervals
from igsm_pipeline.reports.charts.theme import GREY, PROBES, PURPLE, SKY, Series
from igsm_pipeline.reports.findings import Row
from igsm_pipeline.reports.page import Cell, Page, interval_cell
from igsm_pipeline.reports.results import Results, listed, said, task_name
from igsm_pipeline.reports.sections.candidate_sets import about_result_5, write_candidate_sets
from igsm_pipeline.reports.sections.opening import percent

TITLE = "Is it the model?"
READERS = {
    "v_probe": PROBES["v_probe"],
    "control_task": Series("taught random answers by heart", SKY, "triangle-up"),
    "random": PROBES["random"],
    "no_layers": Series("V-probe, no layers", PURPLE, "triangle-down"),
    "text": PROBES["text"],
    "permuted": Series("taught the answers to other queries", GREY, "cross"),
}
"""How the readers are drawn and called, the V-probe first."""
_CODES = {**{reader: look.name for reader, look in READERS.items()}, "shares": "no probe, shares of the answers"}


def write_controls(page: Page, results: Results) -> None:
    """The section; nothing where no control was asked for."""
    rows = results.probe_controls
    if not rows:
        page.missing(TITLE, "no controls of V-probes were asked for (knowledge.controls)")
        return
    parts = list(dict.fromkeys(row["slice"] for row in rows))
    page.section(TITLE, *_findings(results, rows, parts[0]), *about_result_5(results, parts[0]))
    page.stated(results.claim("knowledge"))
    page.how(
        "The same probe is trained where it cannot find what it is asked: on a model without training, on embeddings alone, on the answers "
        "to other queries, and on a list of random answers, one for each wording and place of a query.",
        "Where a control is as good as the V-probe, the V-probe's answer need not come from the model.",
    )
    for number, part in enumerate(parts):
        _one_slice(page, results, number, part, [row for row in rows if row["slice"] == part])
    if results.description_length:
        _codes(page, results.description_length)
    write_candidate_sets(page, results)


def _findings(results: Results, rows: Sequence[Row], part: str) -> list[str]:
    """One sentence per control on one slice, and one about the code."""
    found = []
    for reader, look in READERS.items():
        mine = [row for row in rows if row["reader"] == reader and row["slice"] == part and row["subset"] == "all" and row["gain"] is not None]
        if not mine:
            continue
        ahead, behind, even = list[str](), list[str](), list[str]()
        for row in mine:
            gain = of_columns(row, "gain")
            words = f"{_plain(row['task'])} {100 * gain.value:+.1f} ({100 * gain.low:.1f} to {100 * gain.high:.1f})"
            (ahead if gain.low > 0 else behind if gain.high < 0 else even).append(words)
        parts = [f"ahead by {listed(ahead)}" if ahead else "nowhere ahead"]
        parts += [f"behind by {listed(behind)}"] if behind else []
        parts += [f"no evidence for {listed(even)}"] if even else []
        found.append(f"V-probes beside “{look.name}”, points of balanced accuracy on {results.slice_name(part)}: {'; '.join(parts)}.")
    whole = {(row["task"], row["reader"]): row for row in results.description_length if row["share"] == 1.0}
    costs = [
        f"{_plain(task)} {said(of_columns(row, 'longer'), unit='', scale=1, digits=2)}"
        for (task, reader), row in whole.items()
        if reader == "random" and row["longer"] is not None
    ]
    if costs:
        found.append(f"Each answer costs so many bits more with random weights than with the trained model: {listed(costs)}.")
    return found


def _plain(task: str) -> str:
    return task_name(task).partition(" (")[0]


def _one_slice(page: Page, results: Results, number: int, part: str, rows: Sequence[Row]) -> None:
    whole = {(row["task"], row["reader"]): row for row in rows if row["subset"] == "all"}
    tasks = list(dict.fromkeys(task for task, _ in whole))
    readers = [reader for reader in READERS if any(name == reader for _, name in whole)]
    marks = [
        Mark(task_name(task), READERS[reader], percent(of_columns(whole[task, reader], "balanced_accuracy")), whole[task, reader]["n"])
        for task in tasks
        for reader in readers
        if (task, reader) in whole
    ]
    words = f"Balanced accuracy of V-probes and their controls on {results.slice_name(part)}, by question, with 95% intervals."
    lines = {"chance of a yes-or-no question": 50.0}
    chart = draw_intervals(f"controls_{number}", words, marks, axis="balanced accuracy, %", domain=None, lines=lines)
    page.chart(
        chart, f"V-probes and their controls, {results.slice_name(part)}.", "Each answer weighs the same, so that a constant answer is chance."
    )
    linear = {task: results.probe(task, part, "linear") for task in tasks}
    head = ["question", *(READERS[reader].name for reader in readers)]
    lines_of: list[list[Cell]] = []
    for task in tasks:
        cells = [_cell(whole, task, reader) for reader in readers]
        lines_of.append([task_name(task), *map(interval_cell, cells)])
    if any(linear.values()):
        head.append("linear probe, trained model")
        lines_of = [[*line, interval_cell(linear[task])] for task, line in zip(tasks, lines_of, strict=True)]
    page.table(head, lines_of, f"Balanced accuracy in percent with 95% intervals by problem, {_counted(whole, tasks)}.")
    names = (
        "task", "slice", "reader", "subset", "n", "num_problems",
        *(f"{name}{end}" for name in ("accuracy", "balanced_accuracy", "gain") for end in ("", "_low", "_high")),
    )  # fmt: skip
    gains = [[task_name(task), *(interval_cell(_cell(whole, task, reader, "gain")) for reader in readers[1:])] for task in tasks]
    note = "Points of balanced accuracy by which the V-probe is ahead, on the same queries; of random answers taught by heart: selectivity."
    page.fold(f"controls_{number}", ("question", *head[1 : len(readers)]), gains, note, (names, [[row[name] for name in names] for row in rows]))


def _cell(whole: dict[tuple[str, str], Row], task: str, reader: str, name: str = "balanced_accuracy") -> Interval | None:
    row = whole.get((task, reader))
    return None if row is None else of_columns(row, name)


def _counted(whole: dict[tuple[str, str], Row], tasks: Sequence[str]) -> str:
    counts = [whole[task, "v_probe"]["n"] for task in tasks]
    return f"{min(counts):,} to {max(counts):,} queries a question"


def _codes(page: Page, rows: Sequence[Row]) -> None:
    page.part("How short is the code?")
    page.how(
        "The answers are sent batch after batch; both sides have the states, and train one probe on what was sent. What is easily read is cheap.",
        "Shown: how many times shorter the code is than one that knows nothing. The last column reads no state: it counts how often an answer came.",
    )
    whole = {(row["task"], row["reader"]): row for row in rows if row["share"] == 1.0}
    readers = [reader for reader in _CODES if any(name == reader for _, name in whole)]
    tasks = list(dict.fromkeys(task for task, _ in whole))
    lines: list[list[Cell]] = []
    for task in tasks:
        cells = [whole.get((task, reader)) for reader in readers]
        lines.append([task_name(task), *(interval_cell(None if row is None else of_columns(row, "compression"), 2, 1) for row in cells)])
    count = max((row["n"] for row in whole.values()), default=0)
    page.table(("question", *(_CODES[reader] for reader in readers)), lines, f"Compression, 95% by batch, up to {count:,} queries a question.")
    names = (
        "task",
        "reader",
        "share",
        "n",
        "bits",
        "uniform",
        "compression",
        "compression_low",
        "compression_high",
        "longer",
        "longer_low",
        "longer_high",
    )
    shown = [[row["task"], _CODES.get(row["reader"], row["reader"]), row["share"], row["n"], row["bits"], row["compression"]] for row in rows]
    head = ("question", "reader", "share of the queries", "n", "bits", "compression")
    page.fold("description_length", head, shown, "As the probe learns.", (names, [[row[name] for name in names] for row in rows]))
