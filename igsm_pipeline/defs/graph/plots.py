"""The plot that Dagster shows beside a stage: the report's own figures, small, as an image within Markdown.

Ours: an image in metadata stays below 100 KB, or the UI grows slow; the full figure lies in the report.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from igsm_pipeline.defs.graph.data_checks import repeats_by_set, shard_summaries
from igsm_pipeline.running.stage_runs import StageRun
from igsm_pipeline.settings import hash_json
from igsm_pipeline.store import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_BYTES = 100_000
VERSION = 3
"""Raise it when the plots change: kept ones are drawn again."""
_DPI = (90, 60, 40)


def stage_plot(run: StageRun) -> str | None:
    """Markdown with the plot of a stage run; None where the stage has none or nothing to draw.

    It is drawn once for each content of the stage and kept as a file, since drawing takes seconds and a hit should not.
    """
    if run.stage not in _PLOTS or not run.units:
        return None
    kept = run.store.root.parent / ".dagster" / "plots" / f"{run.stage}-{hash_json([VERSION, run.content])}.md"
    if kept.is_file():
        return kept.read_text() or None
    figures = draw_plots(run)
    text = "\n\n".join(f"**{title}**\n\n{image(figure, title)}" for title, figure in figures.items())
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, text.encode())
    return text or None


def draw_plots(run: StageRun) -> dict[str, Figure]:
    """The figures of a stage run by title; none where the stage has none."""
    return _PLOTS[run.stage](run) if run.stage in _PLOTS else {}


def image(figure: Figure, title: str) -> str:
    """A figure as a Markdown image of less than ``MAX_BYTES``."""
    from igsm_pipeline.reports.figures import data_uri, png  # noqa: PLC0415  (matplotlib)

    pictures = (data_uri(png(figure, dpi)) for dpi in _DPI)
    return f"![{title}]({next((picture for picture in pictures if len(picture) < MAX_BYTES), 'too large: see the report')})"


def _problem_sets(run: StageRun) -> dict[str, Figure]:
    from igsm_pipeline.problems.describe.op_law import op_law  # noqa: PLC0415
    from igsm_pipeline.reports.data_figures import bins_by_split, ops_against_law, runs_against_chance  # noqa: PLC0415
    from igsm_pipeline.reports.figures import op_histogram, share_bars  # noqa: PLC0415
    from igsm_pipeline.reports.tables import share  # noqa: PLC0415

    counts, bins, figures = {}, {}, {}
    for index, unit in enumerate(run.units):
        summary = json.loads((run.store.path(unit) / "summary.json").read_text())
        counts[unit.name] = {op: number for op, number in enumerate(summary["op_histogram"]) if number}
        if not unit.settings["reask"]:
            bins[unit.name] = summary["template_bins"]
        if unit.settings["law"] == "range" and unit.name == "train":
            law = op_law(unit.settings["family"]["op_law"], unit.settings["family"]["op_max"], balanced=unit.settings["balanced"])
            figures["ops of the training set against the law"] = ops_against_law(counts[unit.name], law)
            figures["runs of one op in the training set"] = runs_against_chance(np.array(table_column(run, index, "op")))
    repeats = {name: share(*found) for name, found in repeats_by_set(run).items()}
    return {
        "ops of each set": op_histogram(counts),
        **figures,
        "template bins of each set": bins_by_split(bins),
        "problems that repeat an earlier one of their set": share_bars(repeats, "share"),
    }


def _token_shards(run: StageRun) -> dict[str, Figure]:
    from igsm_pipeline.reports.data_figures import fill_histogram, ops_of_shards  # noqa: PLC0415

    shards = [shard for folder in run.folders() for shard in shard_summaries(folder)]
    filled = [length for index in range(len(run.units)) for length in table_column(run, index, "length")]
    return {"ops of each shard": ops_of_shards([shard["op_histogram"] for shard in shards]), "tokens per window": fill_histogram(filled)}


def _checkpoint(run: StageRun) -> dict[str, Figure]:
    from igsm_pipeline.reports.figures import training_curves  # noqa: PLC0415
    from igsm_pipeline.training.metrics import read_metrics  # noqa: PLC0415

    lines = [line for folder in run.folders() for line in read_metrics(folder)]
    return {"training": training_curves(lines)} if lines else {}


def _generations(run: StageRun) -> dict[str, Figure]:
    from igsm_pipeline.reports.figures import share_bars  # noqa: PLC0415
    from igsm_pipeline.reports.tables import share  # noqa: PLC0415

    finished = {unit.name: Counter(table_column(run, index, "finished")) for index, unit in enumerate(run.units)}
    return {"finished completions": share_bars({name: share(found[True], found.total()) for name, found in finished.items()}, "finished")}


def table_column(run: StageRun, index: int, column: str) -> list[object]:
    """One column of the Parquet files of one unit of a stage run."""
    from igsm_pipeline.reports.findings import read_column  # noqa: PLC0415

    return read_column(run.store.path(run.units[index]), "", column)


def _verdicts(run: StageRun) -> dict[str, Figure]:
    from igsm_pipeline.reports import figures, tables  # noqa: PLC0415
    from igsm_pipeline.reports.findings import Findings  # noqa: PLC0415

    verdicts = Findings.read({f"{unit.stage}/{unit.name}": run.store.path(unit) for unit in run.units}).verdicts()
    op_max = run.member.settings.family.op_max
    return {
        "accuracy per slice": figures.accuracy_bars(tables.accuracy_rows(verdicts)),
        "accuracy per op": figures.accuracy_per_op(tables.accuracy_by_op(verdicts), op_max),
    }


def _probes(run: StageRun) -> dict[str, Figure]:
    from igsm_pipeline.reports import figures  # noqa: PLC0415
    from igsm_pipeline.reports.findings import Findings  # noqa: PLC0415

    scores = Findings.read({f"{unit.stage}/{unit.name}": run.store.path(unit) for unit in run.units}).probe_scores()
    slices = list(dict.fromkeys(row["slice"] for row in scores))
    return {f"probes on {part}": figures.probe_bars(scores, part) for part in slices[:2]}


_PLOTS: Mapping[str, Callable[[StageRun], dict[str, Figure]]] = {
    "problem_sets": _problem_sets,
    "token_shards": _token_shards,
    "checkpoint": _checkpoint,
    "generations": _generations,
    "verdicts": _verdicts,
    "probe_scores": _probes,
}
