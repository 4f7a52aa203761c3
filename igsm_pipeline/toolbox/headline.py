"""The lines that a run ends with: where the report is, the most important numbers, and what to do next."""

from __future__ import annotations

from igsm_pipeline.experiments.experiment import Member
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.reports.findings import finished_verdicts
from igsm_pipeline.reports.paper_rows import accuracy_rows
from igsm_pipeline.store import Store


def headline(member: Member, store: Store) -> list[str]:
    """Lines about the fresh results of a member, the last with the next command.

    Accuracies are shares of fully correct solutions in percent, with 95% intervals and n.
    """
    units = units_of(member)
    lines = [
        f"{member.key}  {row.slice}{f' beam {row.beams}' if row.beams > 1 else ''}: {row.correct.percent()} % fully correct, n = {row.n:,}"
        for row in accuracy_rows(finished_verdicts(units, store))
    ]
    report = next((unit for unit in units if unit.stage == "report" and store.check(unit).fresh), None)
    if report is not None:
        lines += [f"{member.key}  report: {store.path(report) / 'report.html'}"]
        lines += [f"next: `igsm report {member.key} --open`, `igsm solve --model {member.key}`, `igsm sql`, `igsm ui`"]
    else:
        lines += [f"next: `igsm run {member.key}` computes what is left, up to the report"]
    return lines
