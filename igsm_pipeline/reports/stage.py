"""The stage ``report``: everything that a member has shown, on one page."""

from __future__ import annotations

from igsm_pipeline.reports.settings import ReportSettings
from igsm_pipeline.stage import EVERY_STAGE, Check, Read, Stage

STAGE = Stage(
    name="report",
    version=11,
    settings=ReportSettings,
    write="igsm_pipeline.reports.write:write_report",
    group="result",
    kinds=("html", "altair"),
    words="One self-contained page that begins with results: what it solves, plans and knows, where it errs; each number with its n and interval.",
    reads=(Read(EVERY_STAGE),),
    checks=(Check("self_contained", "The page loads nothing from elsewhere.", "igsm_pipeline.reports.checks:self_contained", blocking=False),),
    disk=lambda unit: 3e6,
    work=lambda unit: 8.0 + 0.1 * len(unit.inputs),
)
