"""The plots that stand beside a stage: the report's own figures."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from igsm_pipeline.intervals.share import share
from igsm_pipeline.problems.checks import repeats_by_set
from igsm_pipeline.problems.describe.op_law import op_law
from igsm_pipeline.problems.settings import OWN
from igsm_pipeline.reports import figures as drawn
from igsm_pipeline.reports import paper_rows
from igsm_pipeline.reports.data_figures import bins_by_split, fill_histogram, ops_against_law, ops_of_shards, runs_against_chance
from igsm_pipeline.reports.findings import Findings, read_column
from igsm_pipeline.stage import StageUnits
from igsm_pipeline.tokens.checks import shard_summaries
from igsm_pipeline.training.curves import read_metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def problem_sets(run: StageUnits) -> dict[str, Figure]:
    """Ops, bins and repeats of every set, beside the law."""
    counts, bins, figures = {}, {}, {}
    for index, unit in enumerate(run.units):
        summary = json.loads((run.store.path(unit) / "summary.json").read_text())
        counts[unit.name] = {op: number for op, number in enumerate(summary["op_histogram"]) if number}
        if not unit.settings["reask"]:
            bins[unit.name] = summary["template_bins"]
        if unit.settings["law"] == "range" and unit.name == "train" and OWN not in unit.inputs:
            law = op_law(unit.settings["family"]["op_law"], unit.settings["family"]["op_max"], balanced=unit.settings["balanced"])
            figures["ops of the training set against the law"] = ops_against_law(counts[unit.name], law)
            figures["runs of one op in the training set"] = runs_against_chance(np.array(table_column(run, index, "op")))
    repeats = {name: share(*found) for name, found in repeats_by_set(run).items()}
    return {
        "ops of each set": drawn.op_histogram(counts),
        **figures,
        "template bins of each set": bins_by_split(bins),
        "problems that repeat an earlier one of their set": drawn.share_bars(repeats, "share"),
    }


def token_shards(run: StageUnits) -> dict[str, Figure]:
    """Ops of every shard, and how full its windows are."""
    shards = [shard for folder in run.folders() for shard in shard_summaries(folder)]
    filled = [length for index in range(len(run.units)) for length in table_column(run, index, "length")]
    return {"ops of each shard": ops_of_shards([shard["op_histogram"] for shard in shards]), "tokens per window": fill_histogram(filled)}


def checkpoint(run: StageUnits) -> dict[str, Figure]:
    """The curves of the training."""
    lines = [line for folder in run.folders() for line in read_metrics(folder)]
    return {"training": drawn.training_curves(lines)} if lines else {}


def generations(run: StageUnits) -> dict[str, Figure]:
    """Share of completions that the model ended."""
    finished = {unit.name: Counter(table_column(run, index, "finished")) for index, unit in enumerate(run.units)}
    return {"finished completions": drawn.share_bars({name: share(found[True], found.total()) for name, found in finished.items()}, "finished")}


def table_column(run: StageUnits, index: int, column: str) -> list[object]:
    """One column of the Parquet files of one unit of a stage run."""

    return read_column(run.store.path(run.units[index]), "", column)


def verdicts(run: StageUnits) -> dict[str, Figure]:
    """Accuracy per slice and per op."""
    verdicts = Findings.read({f"{unit.stage}/{unit.name}": run.store.path(unit) for unit in run.units}).verdicts()
    op_max = max(int(unit.inputs["problems"].settings["family"]["op_max"]) for unit in run.units)
    return {
        "accuracy per slice": drawn.accuracy_bars(paper_rows.accuracy_rows(verdicts)),
        "accuracy per op": drawn.accuracy_per_op(paper_rows.accuracy_by_op(verdicts), op_max),
    }


def probe_scores(run: StageUnits) -> dict[str, Figure]:
    """Probes against their controls, on the first two slices."""
    scores = Findings.read({f"{unit.stage}/{unit.name}": run.store.path(unit) for unit in run.units}).probe_scores()
    slices = list(dict.fromkeys(row["slice"] for row in scores))
    return {f"probes on {part}": drawn.probe_bars(scores, part) for part in slices[:2]}
