"""Does it know that it errs? What a probe says of a name just written, at the first mistake and elsewhere, and what going back there brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from igsm_pipeline.intervals.interval import of_columns
from igsm_pipeline.reports.charts.chart import HALF, Chart
from igsm_pipeline.reports.charts.intervals import Mark, draw_intervals
from igsm_pipeline.reports.charts.theme import BLUE, GREY, INK, ORANGE, PURPLE, Series
from igsm_pipeline.reports.findings import Row
from igsm_pipeline.reports.page import Page, interval_cell
from igsm_pipeline.reports.results import Results, no_evidence, said
from igsm_pipeline.reports.sections.opening import percent

TITLE = "Does it know that it errs?"
SUBSETS = {
    "right": Series("names of right sentences", BLUE, "circle"),
    "mistake": Series("the first mistake, not computable", ORANGE, "square"),
    "elsewhere": Series("not computable there, not named", GREY, "cross"),
}
"""How the subsets are drawn and called."""
DECODERS = {
    "greedy": Series("greedy", GREY, "circle"),
    "probe": Series("retried where the probe regrets", BLUE, "square"),
    "truth": Series("retried where the truth does", ORANGE, "triangle-up"),
    "chance": Series("retried at random", INK, "cross"),
    "beam": Series("beam search", PURPLE, "diamond"),
}
"""How the decoders are drawn and called."""
Cells = Mapping[tuple[str, str, int], Row]


def write_regret(page: Page, results: Results) -> None:
    """The section; nothing where no probe was asked."""
    told, retried = results.regret, results.retry_upon_regret
    if not told:
        page.missing(TITLE, "no probe was asked after the names that the model writes (regret.problems is 0)")
        return
    page.section(TITLE, *_findings(told, retried, results))
    page.stated(results.claim("regret"))
    page.how(
        "A probe reads the model's state right after a sentence has named a quantity, before anything is computed, and says whether it can be "
        "computed now. Left: of which names it says that they cannot. Right: what comes of going back there and naming another, a few times at most.",
        "Retrying with the true answer in the probe's place shows what a perfect probe would bring, retrying at random what going back alone does.",
    )
    page.charts_beside((("of which names it says cannot", _told_chart(told, results)), ("fully correct", _retried_chart(retried, results))))
    _told_table(page, told, results)
    _retried_table(page, retried, results)


def _findings(told: Sequence[Row], retried: Sequence[Row], results: Results) -> list[str]:
    """The slice with most mistakes: what the probe says there; and what retrying brings in it."""
    mistakes = [row for row in told if row["subset"] == "mistake"]
    if not mistakes:
        return ["The model's first mistakes name nothing that could not be computed, so there is nothing to regret."]
    most = max(mistakes, key=lambda row: row["n"])
    part = most["slice"]
    right = next((row for row in told if row["slice"] == part and row["subset"] == "right"), None)
    beside = f", of the names in right sentences of {said(of_columns(right, 'cannot'))} ({right['n']:,})" if right else ""
    first = (
        f"{results.slice_name(part)}: right after naming what cannot be computed, at its first mistake, the state says so in "
        f"{said(of_columns(most, 'cannot'))} of {most['n']:,}{beside}."
    )
    cells = {(row["slice"], row["decoder"], row["tries"]): row for row in retried}
    tries = min(row["tries"] for row in retried if row["decoder"] == "probe")
    probe, truth = (cells[part, decoder, tries] for decoder in ("probe", "truth"))
    gain = of_columns(probe, "gain")
    second = (
        f"Going back there lifts what is solved from {said(of_columns(cells[part, 'greedy', 0], 'correct'))} by "
        f"{said(gain, unit=' points')} with at most {tries} tries, with the true answer by {said(of_columns(truth, 'gain'), unit=' points')}."
    )
    return [first, second, *(["The interval of the probe's gain holds zero: no evidence that it helps."] if no_evidence(gain) else [])]


def _told_chart(rows: Sequence[Row], results: Results) -> Chart:
    marks = [
        Mark(results.slice_name(row["slice"]), SUBSETS[row["subset"]], percent(of_columns(row, "cannot")), row["n"])
        for row in rows
        if row["subset"] in SUBSETS
    ]
    return draw_intervals(
        "regret", "Share of names of which the probe says that they cannot be computed, by slice.", marks, axis="says cannot, %", width=HALF
    )


def _retried_chart(rows: Sequence[Row], results: Results) -> Chart:
    least = min(row["tries"] for row in rows if row["decoder"] == "probe")
    marks = [
        Mark(results.slice_name(row["slice"]), DECODERS[row["decoder"]], percent(of_columns(row, "correct")), row["n"])
        for row in rows
        if row["decoder"] in ("greedy", "beam") or row["tries"] == least
    ]
    words = f"Share of fully correct solutions by slice and decoder, at most {least} tries."
    return draw_intervals("retry_upon_regret", words, marks, axis="fully correct, %", width=HALF)


def _told_table(page: Page, rows: Sequence[Row], results: Results) -> None:
    names = ("slice", "subset", "n", "num_problems", "computable", *_ends("cannot", "accuracy", "balanced_accuracy"))
    lines = [
        (
            f"{results.slice_name(row['slice'])}, {row['subset']}",
            row["n"],
            *(interval_cell(of_columns(row, name)) for name in ("cannot", "accuracy")),
            interval_cell(of_columns(row, "balanced_accuracy")) if row["subset"] == "all" else None,
        )
        for row in rows
    ]
    head = ("slice, names", "n", "says cannot, %", "right, %", "balanced, %")
    page.fold("regret", head, lines, "", (names, [[row[name] for name in names] for row in rows]), "what the probe says")


def _retried_table(page: Page, rows: Sequence[Row], results: Results) -> None:
    names = ("slice", "decoder", "tries", "n", *_ends("correct", "gain"), "retries", "asked", "used_up", "tokens_read")
    lines = [
        (
            f"{results.slice_name(row['slice'])}, {DECODERS[row['decoder']].name}, {row['tries']}",
            interval_cell(of_columns(row, "correct")),
            interval_cell(of_columns(row, "gain")),
            round(row["retries"], 2),
            round(100 * row["used_up"], 1),
            round(row["tokens_read"]),
        )
        for row in rows
    ]
    head = ("slice, decoder, tries", "fully correct, %", "more than greedy, points", "retries each", "used up, %", "tokens read")
    page.fold(
        "retry_upon_regret", head, lines, f"{rows[0]['n']:,} problems a slice.", (names, [[row[name] for name in names] for row in rows]), "retries"
    )


def _ends(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}{end}" for name in names for end in ("", "_low", "_high"))
