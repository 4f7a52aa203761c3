"""The first screen: what was trained, three numbers with the paper's beside them, two small figures, one solved problem."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable

from igsm_pipeline.intervals.interval import UNDEFINED, Interval
from igsm_pipeline.reports.charts.chart import Chart
from igsm_pipeline.reports.charts.intervals import Mark, draw_intervals
from igsm_pipeline.reports.charts.theme import BLUE, PAPER, PROBES, Series
from igsm_pipeline.reports.example import example_near, solution_list
from igsm_pipeline.reports.page import Markup, Page
from igsm_pipeline.reports.paper import PAPER_MODEL
from igsm_pipeline.reports.results import Results, no_evidence, task_name
from igsm_pipeline.text import render_problem, render_question
from igsm_pipeline.tokens.settings import DrillSettings

SMALL = 380
"""Pixels of a chart on the first screen."""
STORY_OP = 3
"""Operations of the problem on the first screen, or as near as there is one: short enough to be read at once."""


def what_was_trained(results: Results) -> str:
    """One sentence: the model, its size, what it read."""
    source = results.findings.one("checkpoint")
    if source is None:
        return "No model has been trained yet"
    model, counts = source.manifest["settings"].get("model", {}), source.manifest["counts"]
    size = _size(counts["parameters"]) + " weights" if counts.get("parameters") else "unknown size"
    layers = f"{model['layers']}-layer " if model.get("layers") else ""
    read = f" on {_size(counts['tokens'])} tokens" if counts.get("tokens") else ""
    made_of = "made-up arithmetic stories" + (", and drills without a story" if _has_drills(results) else "")
    earlier = source.manifest["settings"].get("training", {}).get("start")
    start = "trained on" if model.get("path") else "trained on from the weights of another training" if earlier else "trained from scratch"
    article = "An" if layers.startswith(("8", "11-", "18-")) else "A"
    return f"{article} {layers}language model of {size}, {start}{read} of {made_of}"


def _has_drills(results: Results) -> bool:
    """Whether the training's windows, streamed or stored, held drills."""
    settings = [source.manifest["settings"] for stage in ("checkpoint", "token_shards") if (source := results.findings.one(stage)) is not None]
    return any(DrillSettings.in_section(place) for one in settings for place in (one, one.get("stream") or {}))


def _size(number: int) -> str:
    for scale, name in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand")):
        if number >= scale:
            return f"{number / scale:.3g} {name}"
    return f"{number:,}"


def what_it_does(results: Results) -> str:
    """Two sentences for who has never heard of iGSM."""
    taught = f" It was taught problems of at most {results.op_max}." if results.op_max else ""
    modulus = f" All numbers count modulo {results.modulus}." if results.modulus else ""
    return (
        "A story (iGSM) says what depends on what and asks for one number; the model writes out every step, and every step is checked. "
        "An operation (op) is one addition, subtraction or multiplication of the shortest solution; a problem's length is counted in operations."
        f"{taught}{modulus}"
    )


def write_opening(page: Page, results: Results) -> None:
    """What was claimed before the run, cards, small figures and a solved problem, above the list of contents."""
    page.stated(results.claim(), opening=True)
    cards = [card for card in (_solves(results), _beyond(results), _plans(results)) if card]
    if cards:
        page.opening(Markup(f'<ul class="cards">{"".join(cards)}</ul>'))
    parts = [*_figures(page, results), *_story(results)]
    if parts:
        page.opening(Markup(f'<div class="overview">{"".join(parts)}</div>'))


def _card(title: str, value: Interval, n: str, beside: str) -> str:
    between = "" if math.isnan(value.low) else f"95% interval {100 * value.low:.1f} to {100 * value.high:.1f}, {n}"
    number = f'<span class="number">{100 * value.value:.1f} %</span> <span class="claim">{html.escape(title)}</span>'
    return f'<li class="card">{number}<span class="between">{between}</span><span class="beside">{html.escape(beside)}</span></li>'


def _paper(value: float | None, where: str = "") -> str:
    return f"The paper's model: {value:.1f} %{where}." if value is not None else "The paper has no such number."


def _solves(results: Results) -> str:
    row = results.greedy("op<=max") or results.greedy("by_op")
    if row is None:
        return ""
    paper = _paper(results.paper_accuracy(row.slice))
    return _card(f"of new problems of {results.slice_name(row.slice)} solved, every step right", row.correct, f"n = {row.n:,}", paper)


def _beyond(results: Results) -> str:
    part = results.beyond[0] if results.beyond else "op=max"
    row = results.greedy(part)
    if row is None:
        hardest = max((one for one in results.by_op if one.beams == 1), key=lambda one: one.op or 0, default=None)
        return (
            "" if hardest is None else _card(f"of its longest problems ({hardest.op} operations) solved", hardest.correct, f"n = {hardest.n:,}", "")
        )
    far = results.slice_name(part).partition(",")[0]
    title = (
        f"of problems of {far} solved, longer than any it was taught" if results.beyond else f"of the longest problems it was taught ({far}) solved"
    )
    theirs = "" if results.is_papers or not results.beyond else " at its first untaught length"
    return _card(title, row.correct, f"n = {row.n:,}", _paper(results.paper_accuracy(part), theirs))


def _plans(results: Results) -> str:
    part = next((part for part in ("op<=max", "op=max", *results.probed_slices) if results.probe("nece", part) is not None), None)
    if part is None:
        row = results.greedy("reask")
        return (
            ""
            if row is None
            else _card(
                "solved when the same stories are asked another question", row.correct, f"n = {row.n:,}", _paper(results.paper_accuracy("reask"))
            )
        )
    value, row_ = results.probe("nece", part, name="accuracy") or UNDEFINED, results.whole["nece", part, "v_probe"]
    gain = results.probe("nece", part, name="balanced_accuracy_gain")
    control = results.probe("nece", part, "random", "accuracy")
    beside = _paper(results.paper_probe("nece", part))
    if control is not None:
        beside += f" Random weights instead of this model: {100 * control.value:.1f} %" + (
            "; no evidence of a gain." if gain is None or no_evidence(gain) else "."
        )
    title = "of quantities told needed or not from its state, before it writes a word"
    return _card(title, value, f"n = {row_['n']:,}", beside)


def _figures(page: Page, results: Results) -> Iterable[str]:
    chart = small_accuracy(results)
    if chart is not None:
        yield f"<section><h2>What it solves <small>(figure 3)</small></h2>{page.chart_markup(chart).text}</section>"
    chart = small_probes(results)
    if chart is not None:
        yield f"<section><h2>What its states tell <small>(figure 7)</small></h2>{page.chart_markup(chart).text}</section>"


def small_accuracy(results: Results) -> Chart | None:
    """Figure 3, fully correct solutions alone; None without verdicts."""
    ours = Series("this model", BLUE)
    marks = []
    for row in results.accuracy:
        if row.beams == 1 and row.slice != "by_op":
            name = short_slice(results, row.slice)
            marks.append(Mark(name, ours, percent(row.correct), row.n))
            marks += paper_mark(name, results.paper_accuracy(row.slice))
    if not marks:
        return None
    words = "Share of fully correct solutions by kind of problem, with 95% intervals and the paper's values beside them."
    return draw_intervals("overview_accuracy", words, marks, axis="fully correct, %", width=SMALL)


def small_probes(results: Results) -> Chart | None:
    """Figure 7, accuracy of V-probes and of their control on the first slice; None without probe scores."""
    if not results.probed_slices:
        return None
    part, marks = results.probed_slices[0], []
    for task in dict.fromkeys(task for task, where, _ in results.whole if where == part):
        name = task_name(task).partition(" (")[0]
        for probe in ("v_probe", "random"):
            value = results.probe(task, part, probe, "accuracy")
            if value is not None:
                marks.append(Mark(name, PROBES[probe], percent(value), results.whole[task, part, probe]["n"]))
        marks += paper_mark(name, results.paper_probe(task, part))
    words = f"Accuracy of probes of the model's states on problems of {results.slice_name(part)}, beside the same probes on random weights."
    return draw_intervals("overview_probes", words, marks, axis="accuracy, %", domain="high", width=SMALL) if marks else None


def paper_mark(row: str, value: float | None, n: int = 0) -> list[Mark]:
    """The paper's value as a mark; none where it has none."""
    return [] if value is None else [Mark(row, PAPER, Interval(value, math.nan, math.nan), n)]


def percent(value: Interval) -> Interval:
    """A share as percent."""
    return Interval(100 * value.value, 100 * value.low, 100 * value.high, value.n)


def short_slice(results: Results, part: str) -> str:
    """A slice in as few words as a small figure has room for."""
    return (
        results.slice_name(part)
        .replace(" operations", " ops")
        .replace(", never taught", " (untaught)")
        .replace("another question (reask)", "new question")
    )


def _story(results: Results) -> Iterable[str]:
    example = example_near(results.findings, results.modulus, STORY_OP)
    if example is None:
        return
    problem = example.problem
    told, question = html.escape(render_problem(problem).strip()), html.escape(render_question(problem).strip())
    yield (
        f'<section><h2>One that it solved</h2><div class="story"><p>{told} <b>{question}</b></p>{solution_list(example.text, None).text}'
        f'<p class="verdict">✓ every step right, {problem.op} operations</p></div></section>'
    )


def beside_the_paper(results: Results) -> str:
    """How the paper's values compare, in one sentence."""
    if results.is_papers:
        return "Dotted strokes are the paper's values for this very family."
    return (
        f"Dotted strokes are the paper's {results.paper_family} ({PAPER_MODEL}), slice by matching slice: a far larger model on longer problems, "
        "there to compare shapes, not heights."
    )
