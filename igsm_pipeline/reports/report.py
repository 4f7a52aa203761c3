"""What the report says, from the first screen to the provenance; a chapter without data is listed near the end, with the reason."""

from __future__ import annotations

from igsm_pipeline.reports.findings import Findings
from igsm_pipeline.reports.page import Page
from igsm_pipeline.reports.results import Results
from igsm_pipeline.reports.sections.background import write_learning, write_missing, write_problems, write_provenance
from igsm_pipeline.reports.sections.controls import write_controls
from igsm_pipeline.reports.sections.emergence import write_emergence
from igsm_pipeline.reports.sections.erasure import write_erasure
from igsm_pipeline.reports.sections.examples import write_examples
from igsm_pipeline.reports.sections.knowing import write_knowing
from igsm_pipeline.reports.sections.mistakes import write_mistakes
from igsm_pipeline.reports.sections.network import write_network
from igsm_pipeline.reports.sections.opening import what_it_does, what_was_trained, write_opening
from igsm_pipeline.reports.sections.other_models import write_other_models
from igsm_pipeline.reports.sections.planning import write_planning
from igsm_pipeline.reports.sections.regret import write_regret
from igsm_pipeline.reports.sections.solving import write_beyond, write_solving
from igsm_pipeline.reports.sections.steering import write_steering
from igsm_pipeline.reports.sections.using import write_using
from igsm_pipeline.reports.settings import ReportSettings

CHAPTERS = (
    write_solving, write_beyond, write_planning, write_knowing, write_controls, write_mistakes, write_network, write_using, write_steering,
    write_erasure,    write_emergence, write_regret, write_other_models, write_examples, write_learning, write_problems,
)  # fmt: skip
"""The page's chapters, in order."""


def build_report(settings: ReportSettings, findings: Findings) -> Page:
    """The page of one member."""
    results = Results(settings, findings)
    page = Page(what_was_trained(results), what_it_does(results), f"iGSM report of {settings.member}")
    write_opening(page, results)
    for write in CHAPTERS:
        write(page, results)
    write_missing(page)
    write_provenance(page, results)
    return page
