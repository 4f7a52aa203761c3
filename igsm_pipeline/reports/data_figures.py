"""Figures of the data itself: ops against their law, template bins per split, shards, windows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from igsm_pipeline.problems.describe.op_law import chi_square, expected_runs, run_lengths
from igsm_pipeline.reports.figures import COLOURS, INK, new_figure


def ops_against_law(counts: Mapping[int, int], law: Mapping[int, float]) -> Figure:
    """Problems of each op beside what the law expects, with three standard errors; the title gives the chi-square test."""
    figure, (axes,) = new_figure()
    total, ops = sum(counts.values()), sorted(law)
    axes.bar(ops, [counts.get(op, 0) for op in ops], color=COLOURS[0], alpha=0.6, label="found")
    errors = [3 * math.sqrt(total * law[op] * (1 - law[op])) for op in ops]
    axes.errorbar(ops, [total * law[op] for op in ops], errors, fmt="_", color=COLOURS[1], capsize=2, label="law, three standard errors")
    test = chi_square(counts, law)
    axes.set_title(f"chi-square {test.statistic:.1f} on {test.freedom}, p {test.p:.3g}", fontsize=9, color=INK)
    axes.set_xlabel("op")
    axes.set_ylabel("problems")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=7, frameon=False, labelcolor=INK)
    return figure


def runs_against_chance(ops: NDArray[np.integer]) -> Figure:
    """How many runs of so many problems of one op follow one another, beside what independent draws of the same ops have."""
    figure, (axes,) = new_figure()
    found = np.bincount(run_lengths(ops))
    lengths = np.arange(1, len(found))
    values, counts = np.unique(ops, return_counts=True)
    law = {int(op): float(count) / len(ops) for op, count in zip(values, counts, strict=True)}
    axes.bar(lengths, found[1:], color=COLOURS[0], alpha=0.6, label="found")
    chance = [expected_runs(law, len(ops), int(length)) for length in lengths]
    axes.plot(lengths, chance, "_", color=COLOURS[1], markersize=9, label="independent draws")
    axes.set_yscale("log")
    axes.set_xlabel("problems of one op in a row")
    axes.set_ylabel("runs")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=7, frameon=False, labelcolor=INK)
    return figure


def bins_by_split(bins: Mapping[str, Sequence[int]]) -> Figure:
    """The share of each set's problems per template bin: train has bins 0 to 15, test 17 to 22 (where the split is by template)."""
    figure, (axes,) = new_figure(6.4, 0.3 * len(bins) + 1.4)
    shares = np.array([[number / max(1, sum(row)) for number in row] for row in bins.values()]).reshape(len(bins), -1)
    axes.imshow(shares, aspect="auto", cmap="Blues", vmin=0)
    axes.set_yticks(range(len(bins)), list(bins), fontsize=7)
    axes.set_xlabel("template bin")
    axes.grid(False)
    return figure


def ops_of_shards(histograms: Sequence[Sequence[int]]) -> Figure:
    """The share of each op in every shard, one thin line per shard: they lie on one another."""
    figure, (axes,) = new_figure()
    for histogram in histograms[:200]:
        total = max(1, sum(histogram))
        ops = range(1, len(histogram))
        axes.plot(ops, [histogram[op] / total for op in ops], color=COLOURS[0], alpha=0.3, linewidth=0.8)
    axes.set_xlabel("op")
    axes.set_ylabel("share of the shard")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def fill_histogram(lengths: Sequence[Any]) -> Figure:
    """How many windows hold how many real tokens."""
    figure, (axes,) = new_figure()
    axes.hist(np.asarray(lengths, dtype=float), bins=40, color=COLOURS[0], alpha=0.7)
    axes.set_xlabel("real tokens in a window")
    axes.set_ylabel("windows")
    return figure
