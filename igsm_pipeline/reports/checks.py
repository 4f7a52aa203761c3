"""What must hold of a report: it loads nothing from elsewhere."""

from __future__ import annotations

from igsm_pipeline.reports.page import foreign_references
from igsm_pipeline.stage import Outcome, StageUnits


def self_contained(run: StageUnits) -> Outcome:
    """The report loads nothing from elsewhere."""
    found = [one for folder in run.folders() for one in foreign_references((folder / "report.html").read_text())]
    return Outcome(not found, f"the page loads {found[:3]}" if found else "the page loads nothing from elsewhere")
