"""A stage's table and plots as Markdown, for Dagster's page.

Ours: an image in metadata is kept below 100 KB, because larger ones make the page slow; the full figure is in the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from igsm_pipeline.settings import hash_json
from igsm_pipeline.stage import StageUnits, load_object
from igsm_pipeline.store import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 60
MAX_BYTES = 100_000
VERSION = 4
"""Raise this number when the plots change; kept plots are then drawn again."""
_DPI = (90, 60, 40)


def stage_table(run: StageUnits) -> str | None:
    """A stage's table as Markdown; None if it has none."""
    if not run.stage.summary or not run.units:
        return None
    head, rows = load_object(run.stage.summary)(run)
    if not rows:
        return None
    more = f"\n\nand {len(rows) - MOST_ROWS} more rows: `igsm sql`" if len(rows) > MOST_ROWS else ""
    return markdown_table(head, rows[:MOST_ROWS]) + more


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def stage_plot(run: StageUnits) -> str | None:
    """The plots of a stage as Markdown; None if the stage has none, or nothing to draw.

    They are drawn once per content of the stage and kept in a file, because drawing takes seconds and a hit should not.
    """
    if not run.stage.plots or not run.units:
        return None
    kept = run.store.root.parent / ".dagster" / "plots" / f"{run.stage.name}-{hash_json([VERSION, run.content])}.md"
    if kept.is_file():
        return kept.read_text() or None
    text = "\n\n".join(f"**{title}**\n\n{image(figure, title)}" for title, figure in draw_plots(run).items())
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, text.encode())
    return text or None


def draw_plots(run: StageUnits) -> dict[str, Figure]:
    """The figures of a stage by title; empty if it has none."""
    figures: dict[str, Any] = load_object(run.stage.plots)(run) if run.stage.plots else {}
    return figures


def image(figure: Figure, title: str) -> str:
    """A figure as a Markdown image of less than ``MAX_BYTES``."""
    from igsm_pipeline.reports.figures import data_uri, png  # noqa: PLC0415  (matplotlib)

    pictures = (data_uri(png(figure, dpi)) for dpi in _DPI)
    return f"![{title}]({next((picture for picture in pictures if len(picture) < MAX_BYTES), 'too large: see the report')})"
