"""Problems worked through: played sentence by sentence with what the probes read, or, where nothing was probed, shown as they are."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from igsm_pipeline.errors import NotFound
from igsm_pipeline.reports.example import Example, choose_example, solution_list
from igsm_pipeline.reports.graphs import counts, dependency_graph
from igsm_pipeline.reports.page import Markup, Page
from igsm_pipeline.reports.results import Results
from igsm_pipeline.text import render_problem, render_question
from igsm_pipeline.verification.words import error_label

if TYPE_CHECKING:
    from igsm_pipeline.player.scene import Scene


def write_examples(page: Page, results: Results) -> None:
    """The player of the member's chosen problems; without probes a right and a wrong solution; nothing where nothing was judged."""
    scenes = played_problems(page, results)
    if scenes:
        from igsm_pipeline.player.files import RECORDED  # noqa: PLC0415  (only where there is something to play)
        from igsm_pipeline.player.page import player_fragment  # noqa: PLC0415

        page.section(
            "Watch it think",
            f"{len(scenes)} problems, each with its solution and with what the probes read in the model's state after every sentence.",
        )
        page.markup(Markup(player_fragment(scenes)))
        page.beside[RECORDED] = json.dumps(scenes, separators=(",", ":")).encode()
        return
    titles = (("One that it solves", True), ("One that it gets wrong", False))
    chosen = [(title, choose_example(results.findings, results.modulus, correct=right)) for title, right in titles]
    if not any(example for _, example in chosen):
        page.missing("Problems worked through", "there are no verified solutions with their texts")
        return
    page.section("Problems worked through")
    page.how(
        "An arrow leads from a quantity to what is computed from it.",
        "Blue: needed for the answer; thick: asked for; dashed outline: a sum over others; pale: not needed.",
    )
    for title, example in chosen:
        if example is None:
            page.missing(title, "there is no such solution")
        else:
            _one(page, title, example)


def played_problems(page: Page, results: Results) -> Sequence[Scene]:
    """What the player shows of a member; empty, and noted as missing, where it has no probes."""
    units = {f"{source.stage}/{source.name}": source.folder for source in results.findings.sources}
    if not results.findings.of("v_probes"):
        page.missing("The player of solutions and beliefs", "no V-probe has been trained")
        return []
    from igsm_pipeline.player.scenes import scenes_of_units  # noqa: PLC0415  (torch, which other pages do not need)

    candidates = results.settings.experiment.get("probes", {}).get("candidates", "existing")
    try:
        return scenes_of_units(results.settings.member, units, candidates=candidates)
    except NotFound as error:
        page.missing("The player of solutions and beliefs", str(error))
        return []


def _one(page: Page, title: str, example: Example) -> None:
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
        what = html.escape(error_label(str(verdict["error"])))
        page.markup(Markup(f'<p class="verdict">✗ First error: {what} ({verdict["error"]}), in sentence {verdict["sentence"] + 1}.</p>'))
