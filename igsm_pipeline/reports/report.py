"""What the report says, from the first screen to the provenance; a chapter without data is listed near the end, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from igsm_pipeline.player.page import player_fragment
from igsm_pipeline.reports.findings import Findings
from igsm_pipeline.reports.page import Markup, Page
from igsm_pipeline.reports.results import Results
from igsm_pipeline.reports.sections.background import write_learning, write_missing, write_problems, write_provenance
from igsm_pipeline.reports.sections.examples import write_examples
from igsm_pipeline.reports.sections.knowing import write_knowing
from igsm_pipeline.reports.sections.mistakes import write_mistakes
from igsm_pipeline.reports.sections.network import write_network
from igsm_pipeline.reports.sections.opening import what_it_does, what_was_trained, write_opening
from igsm_pipeline.reports.sections.planning import write_planning
from igsm_pipeline.reports.sections.solving import write_beyond, write_solving
from igsm_pipeline.reports.settings import ReportSettings

CHAPTERS = (
    write_solving, write_beyond, write_planning, write_knowing, write_mistakes, write_network, write_examples, write_learning, write_problems,
)  # fmt: skip
"""The page's chapters, in order."""


def build_report(settings: ReportSettings, findings: Findings, scenes: Sequence[Mapping[str, Any]] = ()) -> Page:
    """The page of one member.

    Args:
        settings: which member, in words.
        findings: what its units say.
        scenes: the problems that can be played, as ``player.scene`` makes them.
    """
    results = Results(settings, findings)
    page = Page(what_was_trained(results), what_it_does(results), f"iGSM report of {settings.member}")
    write_opening(page, results)
    for write in CHAPTERS:
        if write is write_examples:
            _write_player(page, scenes)
        write(page, results)
    write_missing(page)
    write_provenance(page, results)
    return page


def _write_player(page: Page, scenes: Sequence[Mapping[str, Any]]) -> None:
    if not scenes:
        page.missing("Watch it think", "there are no V-probes of the trained model with solutions to play")
        return
    page.section("Watch it think")
    page.markup(Markup(player_fragment(scenes)))
