"""The stage ``report``: everything a member has shown, as one page that loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from igsm_pipeline.reports.findings import Findings
from igsm_pipeline.reports.report import build_report
from igsm_pipeline.reports.settings import ReportSettings
from igsm_pipeline.store import Writing, write_atomically


def write_report(settings: ReportSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write ``report.html`` and each chart as ``figures/NAME.svg`` and ``.png``, and what the player shows as ``player.json``.

    Args:
        settings: which member, in words.
        inputs: "STAGE/NAME" -> folder, for every unit of the member.
        writing: where the files go.
    """
    findings = Findings.read(inputs)
    page = build_report(settings, findings)
    folder = writing.folder / "figures"
    folder.mkdir(exist_ok=True)
    for name, chart in page.charts.items():
        write_atomically(folder / f"{name}.svg", chart.svg.encode())
        write_atomically(folder / f"{name}.png", chart.png())
    write_atomically(writing.folder / "report.html", page.render().encode())
    for name, content in page.beside.items():
        write_atomically(writing.folder / name, content)
    writing.counts["units"] = len(findings.sources)
    writing.counts["figures"] = len(page.charts)
