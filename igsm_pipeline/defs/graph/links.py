"""Links from Dagster's page to reports: one address per member, and for each stage the section of the report that shows what came of it.

`igsm ui` serves the reports below ``/report`` (``defs.operating.report_pages``); a link shows the member's newest report, whenever it was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from igsm_pipeline.errors import StoreError
from igsm_pipeline.store import MANIFEST, read_manifest

REPORT_PATH = "/report"
"""The path on Dagster's page below which reports are."""
_KNOWING = "what-does-it-know-and-is-that-the-model-or-the-probe"
SECTIONS: Mapping[str, str] = {
    "world": "the-problems",
    "own_problems": "the-problems",
    "problem_sets": "the-problems",
    "token_shards": "the-problems",
    "checkpoint": "how-it-learned",
    "generations": "does-it-solve",
    "verdicts": "does-it-solve",
    "control": _KNOWING,
    "probe_queries": _KNOWING,
    "activation_cache": "where-in-the-network",
    "linear_probes": "where-in-the-network",
    "v_probes": _KNOWING,
    "text_probes": _KNOWING,
    "probe_scores": _KNOWING,
    "probe_controls": "is-it-the-model",
    "error_correlation": "do-mistakes-show-first",
    "interchange": "does-it-use-what-it-knows",
    "llm_evaluations": "how-do-other-models-do",
    "steering": "can-its-plan-be-pushed",
    "erasure": "does-it-need-what-can-be-read",
    "emergence": "when-does-it-come",
    "regret": "does-it-know-that-it-errs",
}
"""Stage -> the anchor of its section; a stage that is not listed links to the top."""


def report_url(member: str, stage: str = "") -> str:
    """The address of a member's report, relative to Dagster's page, at the section of a stage."""
    section = SECTIONS.get(stage, "")
    return f"{REPORT_PATH}/{quote(member)}{'#' if section else ''}{section}"


def reports_in(root: Path) -> Iterator[tuple[str, str, Path]]:
    """The finished reports of a store as (member, when it was finished, folder), in no order.

    Args:
        root: the folder of the store; it need not exist.
    """
    for path in root.glob(f"report/*/{MANIFEST}"):
        try:
            manifest: Mapping[str, Any] = read_manifest(path.parent)
        except StoreError:
            continue
        yield str(manifest["settings"].get("member")), str(manifest["finished"]), path.parent


def newest_report(root: Path, member: str) -> Path | None:
    """The page of a member's newest report; None if it has none."""
    found = [(finished, folder) for key, finished, folder in reports_in(root) if key == member]
    return max(found)[1] / "report.html" if found else None
