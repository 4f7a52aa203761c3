"""One chapter of a report, written from tables that a test makes up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from igsm_pipeline.reports.findings import Findings
from igsm_pipeline.reports.page import Page
from igsm_pipeline.reports.results import Results
from igsm_pipeline.reports.settings import ReportSettings


def written_chapter(
    write: Callable[[Page, Results], None], tables: Mapping[str, Any], experiment: Mapping[str, Any] | None = None
) -> tuple[Page, str]:
    """The page with the chapter, and its HTML.

    Args:
        write: the chapter.
        tables: attribute of ``Results`` -> its rows; there is nothing else to read.
        experiment: sections of the experiment file.
    """
    results = Results(ReportSettings(member="invented", experiment=dict(experiment or {})), Findings(()))
    results.__dict__.update(tables)
    page = Page("a", "b", "c")
    write(page, results)
    return page, page.render()
