"""Does it solve the problems, where does it fail, and what of problems longer than any it was taught? (Figure 3.)"""

from __future__ import annotations

from collections.abc import Sequence

from igsm_pipeline.reports.charts.areas import Part, draw_stack
from igsm_pipeline.reports.charts.chart import Chart
from igsm_pipeline.reports.charts.curves import Point, draw_curves, looks
from igsm_pipeline.reports.charts.intervals import Mark, draw_intervals
from igsm_pipeline.reports.charts.theme import BLUE, GREY, ORANGE, Series
from igsm_pipeline.reports.page import Cell, Page, interval_cell
from igsm_pipeline.reports.paper_rows import Accuracy, errors_by_slice
from igsm_pipeline.reports.results import Results, listed, said
from igsm_pipeline.reports.sections.opening import beside_the_paper, paper_mark, percent
from igsm_pipeline.verification.words import error_label


def write_solving(page: Page, results: Results) -> None:
    """The section about problems as long as those of the training; nothing where nothing was judged."""
    if not results.accuracy:
        page.missing("Does it solve?", "no solution has been verified yet")
        return
    page.section("Does it solve?", *_solving_findings(results))
    how = (
        "A solution counts only if every step is right: symbols, recalled numbers, arithmetic, order and answer.",
        "Each mark is the share of problems solved, the bar through it its 95% interval.",
        beside_the_paper(results),
    )
    shown = [row for row in results.accuracy if row.slice != "by_op"] or results.accuracy
    page.chart(accuracy_chart(results, shown), "Figure 3: solved by kind of problem.", *how)
    _accuracy_table(page, results)
    _errors(page, results)


def _solving_findings(results: Results) -> list[str]:
    row, longest = results.greedy("op<=max") or results.greedy("by_op") or results.accuracy[0], results.greedy("op=max")
    hardest = (
        f"; of the longest that it was taught ({results.slice_name('op=max')}), {said(longest.correct)}" if longest and longest is not row else ""
    )
    return [f"It solves {said(row.correct)} of {row.n:,} new problems of {results.slice_name(row.slice)} with every step right{hardest}."]


def accuracy_chart(results: Results, rows: Sequence[Accuracy]) -> Chart:
    """Figure 3 with everything."""
    beams = {
        1: Series("fully correct", BLUE),
        **{many: Series(f"fully correct, beam {many}", ORANGE, "square") for many in sorted({row.beams for row in rows} - {1})},
    }
    answers = Series("final answer right, steps or not", GREY, "diamond")
    marks = []
    for row in rows:
        name = results.slice_name(row.slice)
        marks.append(Mark(name, beams[row.beams], percent(row.correct), row.n))
        if row.beams == 1:
            marks.append(Mark(name, answers, percent(row.answer), row.n))
            marks += paper_mark(name, results.paper_accuracy(row.slice))
    words = "Share of problems solved, by kind of problem, with 95% intervals."
    return draw_intervals("accuracy", words, marks, axis="solved, %")


def _accuracy_table(page: Page, results: Results) -> None:
    rows = [
        (
            results.row_name(row),
            row.n,
            interval_cell(row.correct),
            results.paper_accuracy(row.slice),
            interval_cell(row.answer),
            interval_cell(row.unfinished),
        )
        for row in results.accuracy
    ]
    head = ("problems", "n", "fully correct, %", "paper, %", "answer right, %", "unfinished, %")
    file = [
        (row.slice, row.beams, row.n, *row.correct[:3], results.paper_accuracy(row.slice), *row.answer[:3], *row.unfinished[:3],
         *row.extra_operations[:3], *row.extra_parameters[:3])
        for row in results.accuracy
    ]  # fmt: skip
    names = ("correct", "answer", "unfinished", "unnecessary_operations", "unnecessary_parameters")
    ends = [[name, f"{name}_low", f"{name}_high"] for name in names]
    page.fold(
        "accuracy", head, rows, download=(("slice", "beams", "n", *ends[0], "paper_percent", *(end for each in ends[1:] for end in each)), file)
    )


def _errors(page: Page, results: Results) -> None:
    found = errors_by_slice(results.verdicts)
    wholes = {row.slice: row.n for row in results.accuracy if row.beams == 1}
    if len(found) > 1:
        found.pop("by_op", None)
    if not found:
        page.missing("First errors", "no greedy solution is wrong")
        return
    totals: dict[str, int] = {}
    for errors in found.values():
        for error, number in errors.items():
            totals[error] = totals.get(error, 0) + number
    kinds = sorted(totals, key=lambda error: -totals[error])
    page.part("What goes wrong first")
    most = error_label(kinds[0])
    page.text(f"Most often the first thing wrong is: {most} ({totals[kinds[0]]:,} of {sum(totals.values()):,} wrong solutions).")
    parts = [
        Part(results.slice_name(part), error_label(error), found[part][error], wholes[part])
        for error in kinds
        for part in wholes
        if error in found.get(part, {})
    ]
    parts.sort(key=lambda part: list(map(results.slice_name, wholes)).index(part.row))
    ordered = sorted(parts, key=lambda part: [error_label(kind) for kind in kinds].index(part.name))
    words = "Wrong solutions by the first thing wrong in them, as a share of all solutions, by kind of problem."
    page.chart(
        draw_stack("errors", words, ordered, axis="wrong solutions, % of all"),
        "The first error of each wrong solution.",
        "Greedy decoding.",
        "A bar is as long as the share of wrong solutions; its colours say what was wrong first.",
    )
    rows: list[tuple[Cell, ...]] = [(error_label(error), *(found.get(part, {}).get(error, 0) for part in found)) for error in kinds]
    file = [(part, error, number, wholes[part]) for part, errors in found.items() for error, number in errors.items()]
    page.fold("first_errors", ("first error", *map(results.slice_name, found)), rows, download=(("slice", "error", "solutions", "of"), file))


def write_beyond(page: Page, results: Results) -> None:
    """The section about longer problems and other questions."""
    reask = results.greedy("reask")
    if not results.beyond and reask is None:
        page.missing("Beyond what it was taught?", "no slice is longer than the training's problems, and none is asked anew")
        _by_op(page, results)  # stays in the section before
        return
    findings = []
    far = [(part, row) for part in results.beyond if (row := results.greedy(part)) is not None]
    if far:
        told = listed([f"{said(row.correct)} of problems of {results.slice_name(part).partition(',')[0]}" for part, row in far])
        findings.append(f"Taught at most {results.op_max} operations, it solves {told}.")
    if reask is not None:
        findings.append(f"Asked another question about such stories (reask), it solves {said(reask.correct)}.")
    page.section("Beyond what it was taught?", *findings)
    _by_op(page, results)


def _by_op(page: Page, results: Results) -> None:
    points = []
    beams = sorted({row.beams for row in results.by_op})
    series = looks(["fully correct" if many == 1 else f"fully correct, beam {many}" for many in beams])
    for many, look in zip(beams, series.values(), strict=True):
        points += [Point(row.op or 0, look, percent(row.correct), row.n) for row in results.by_op if row.beams == many]
    if len({point.x for point in points}) > 1:
        how = (
            "Each point is the share of problems of that many operations that it solves, with its 95% interval.",
            "Right of the dashed line every problem is longer than any of the training: who has learned the rule and not the examples goes on.",
        )
        border = (results.op_max + 0.5, f"the training ends at {results.op_max} operations") if results.op_max else None
        words = "Share of problems solved by number of operations, with 95% intervals; a dashed line shows where the training ends."
        page.chart(
            draw_curves("accuracy_by_op", words, points, x="operations", y="fully correct, %", end=border), "Solved by number of operations.", *how
        )
    rows: list[tuple[Cell, ...]] = [
        (f"{row.op}" + ("" if row.beams == 1 else f", beam {row.beams}"), row.n, interval_cell(row.correct)) for row in results.by_op
    ]
    file = [(row.op, row.beams, row.n, *row.correct[:3]) for row in results.by_op]
    page.fold(
        "accuracy_by_op",
        ("operations", "n", "fully correct, %"),
        rows,
        download=(("op", "beams", "n", "correct", "correct_low", "correct_high"), file),
    )
