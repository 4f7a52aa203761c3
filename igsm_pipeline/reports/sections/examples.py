"""Problems worked through: what was asked, how its quantities depend on one another, what the model wrote."""

from __future__ import annotations

import html

from igsm_pipeline.reports.example import Example, choose_example, solution_list
from igsm_pipeline.reports.graphs import counts, dependency_graph
from igsm_pipeline.reports.page import Markup, Page
from igsm_pipeline.reports.results import Results
from igsm_pipeline.reports.sections.solving import ERROR_WORDS
from igsm_pipeline.text import render_problem, render_question

PLACE = "<!-- worked examples begin -->", "<!-- worked examples end -->"
"""What stands around the worked examples in the page's source."""


def write_examples(page: Page, results: Results) -> None:
    """A right and a wrong solution, each with its problem's graph; nothing where nothing was judged."""
    chosen = [
        (title, choose_example(results.findings, results.modulus, correct=right))
        for title, right in (("One that it solves", True), ("One that it gets wrong", False))
    ]
    if not any(example for _, example in chosen):
        page.missing("Problems worked through", "there are no verified solutions with their texts")
        return
    page.section("Problems worked through")
    page.how(
        "An arrow leads from a quantity to what is computed from it.",
        "Blue: needed for the answer; thick: asked for; dashed outline: a sum over others; pale: not needed.",
    )
    page.markup(Markup(PLACE[0]))
    for title, example in chosen:
        if example is None:
            page.missing(title, "there is no such solution")
        else:
            _one(page, results, title, example)
    page.markup(Markup(PLACE[1]))


def _one(page: Page, results: Results, title: str, example: Example) -> None:
    problem, verdict = example.problem, example.verdict
    page.part(f"{title} ({example.slice}, problem {example.row}, {problem.op} operations)")
    page.code((render_problem(problem) + render_question(problem)).strip(), "The problem")
    size = counts(problem)
    caption = (
        f"{size['parameters']} quantities, {size['necessary']} of them needed, {size['edges']} dependencies; true values modulo {problem.modulus}."
    )
    page.drawing(dependency_graph(problem, verdict["parameter"]), caption)
    page.markup(solution_list(example.text, verdict["sentence"]))
    if verdict["correct"]:
        page.markup(Markup('<p class="verdict">✓ Every step is right.</p>'))
    else:
        what = html.escape(ERROR_WORDS.get(str(verdict["error"]), str(verdict["error"])))
        page.markup(Markup(f'<p class="verdict">✗ First error: {what} ({verdict["error"]}), in sentence {verdict["sentence"] + 1}.</p>'))
