"""Matplotlib figures of some stages as PNG, for the thumbnails that Dagster shows; the report's own charts are in ``charts``."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence

import matplotlib as mpl

mpl.use("Agg")
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from igsm_pipeline.intervals.interval import Interval
from igsm_pipeline.reports.findings import Row
from igsm_pipeline.reports.paper_rows import Accuracy, score, whole_scores
from igsm_pipeline.training.curves import ops_of, slices_of

INK = "#7a7f8c"
COLOURS = ("#0072B2", "#E69F00", "#56B4E9", "#CC79A7", "#8A8F99", "#D55E00")
"""Okabe and Ito's, as in ``charts.theme``."""
PROBE_COLOURS = {"v_probe": "#0072B2", "linear": "#56B4E9", "random": "#E69F00", "linear_random": "#CC79A7", "majority": "#8A8F99"}
PROBE_NAMES = {
    "v_probe": "V-probe",
    "linear": "linear, chosen layer",
    "random": "V-probe, random weights",
    "linear_random": "linear, random weights",
    "majority": "majority guess",
}


def new_figure(width: float = 6.4, height: float = 3.0, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure (inches) with quiet axes side by side."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = [figure.add_subplot(1, columns, column + 1) for column in range(columns)]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize=8, colors=INK)
        one.grid(axis="y", alpha=0.25, linewidth=0.6)
        for spine in one.spines.values():
            spine.set_color(INK)
        one.xaxis.label.set_color(INK)
        one.yaxis.label.set_color(INK)
        one.title.set_color(INK)
    return figure, axes


def op_histogram(counts: Mapping[str, Mapping[int, int]]) -> Figure:
    """How many problems of each op every set holds.

    Args:
        counts: set name -> op -> problems.
    """
    figure, (axes,) = new_figure()
    for index, (name, ops) in enumerate(counts.items()):
        total = max(1, sum(ops.values()))
        places = sorted(ops)
        axes.plot(places, [ops[op] / total for op in places], marker="o", markersize=3, linewidth=1, label=name, color=COLOURS[index % len(COLOURS)])
    axes.set_xlabel("op")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("share of the set")
    _legend(axes)
    return figure


def training_curves(lines: Sequence[Row]) -> Figure:
    """Loss, and fully-correct accuracy per op and watched slice (dashed), over the steps of training.

    Args:
        lines: rows of metrics.jsonl.
    """
    figure, (loss, accuracy) = new_figure(7.6, 3.0, 2)
    steps = [row["step"] for row in lines if "loss" in row]
    loss.plot(steps, [row["loss"] for row in lines if "loss" in row], color=COLOURS[0], linewidth=1.2)
    loss.set_xlabel("step")
    loss.set_ylabel("loss, nats per token")
    curves: dict[int, list[tuple[int, float]]] = {}
    for row in lines:
        for op, value in ops_of(row).items():
            curves.setdefault(op, []).append((row["step"], value))
    colours = mpl.colormaps["viridis"]
    for op, points in sorted(curves.items()):
        colour = colours(0.1 + 0.8 * (op - 1) / max(1, max(curves) - 1))
        accuracy.plot(
            [step for step, _ in points], [value for _, value in points], color=colour, marker="o", markersize=2.5, linewidth=1.2, label=f"op {op}"
        )
    slices: dict[str, list[tuple[int, float]]] = {}
    for row in lines:
        for part, value in slices_of(row).items():
            slices.setdefault(part, []).append((row["step"], value))
    for index, (part, points) in enumerate(slices.items()):
        ink = COLOURS[(1 + 2 * index) % len(COLOURS)]
        accuracy.plot([step for step, _ in points], [value for _, value in points], color=ink, linestyle="dashed", linewidth=1.2, label=part)
    accuracy.set_ylim(-0.02, 1.02)
    accuracy.xaxis.set_major_locator(MaxNLocator(5))
    accuracy.set_xlabel("step")
    accuracy.set_ylabel("fully correct")
    _legend(accuracy, columns=1 + (len(curves) + len(slices)) // 8)
    return figure


def accuracy_bars(rows: Sequence[Accuracy], paper: Mapping[str, float] | None = None) -> Figure:
    """Figure 3: fully correct solutions per slice, with intervals, the paper's value as a line where it has one."""
    figure, (axes,) = new_figure(max(5.0, 0.9 * len(rows) + 1.5))
    for place, row in enumerate(rows):
        _bar(axes, place, row.correct, COLOURS[0] if row.beams == 1 else COLOURS[4])
        if paper and row.slice in paper:
            axes.hlines(paper[row.slice] / 100, place - 0.4, place + 0.4, colors=COLOURS[3], linestyles="dotted")
    axes.set_xticks(range(len(rows)), [f"{row.name}\nn={row.n:,}" for row in rows], fontsize=7)
    axes.set_ylim(0, 1.03)
    axes.set_ylabel("fully correct")
    return figure


def accuracy_per_op(rows: Sequence[Accuracy], op_max: int | None = None) -> Figure:
    """Fully correct solutions per op, with intervals; a dashed line where the training distribution ends."""
    figure, (axes,) = new_figure()
    for index, beams in enumerate(sorted({row.beams for row in rows})):
        chosen = [row for row in rows if row.beams == beams]
        _points(axes, [row.op or 0 for row in chosen], [row.correct for row in chosen], COLOURS[index], f"beam {beams}")
    if op_max is not None:
        axes.axvline(op_max + 0.5, color=INK, linestyle="dashed", linewidth=0.8)
    axes.set_ylim(-0.02, 1.03)
    axes.set_xlabel("op")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("fully correct")
    _legend(axes)
    return figure


def probe_bars(scores: Sequence[Row], part: str, name: str = "balanced_accuracy") -> Figure:
    """Figure 7: every task on one slice, each probe beside its controls."""
    best = whole_scores(scores)
    tasks = list(dict.fromkeys(task for task, where, _ in best if where == part))
    probes = [probe for probe in PROBE_NAMES if any((task, part, probe) in best for task in tasks)]
    figure, (axes,) = new_figure(max(5.0, 1.2 * len(tasks) + 2))
    width = 0.84 / max(1, len(probes))
    for place, task in enumerate(tasks):
        for index, probe in enumerate(probes):
            found = score(best.get((task, part, probe)), name)
            if found is not None:
                label = PROBE_NAMES[probe] if place == 0 else None
                _bar(axes, place + (index - (len(probes) - 1) / 2) * width, found, PROBE_COLOURS[probe], width * 0.9, label)
    axes.set_xticks(range(len(tasks)), tasks, fontsize=8)
    axes.set_ylim(0, 1.03)
    axes.set_ylabel(name.replace("_", " "))
    axes.set_title(part, fontsize=9, color=INK)
    _legend(axes)
    return figure


def share_bars(values: Mapping[str, Interval], label: str) -> Figure:
    """Figure 8 and the like: named shares with intervals."""
    figure, (axes,) = new_figure(max(4.0, 1.2 * len(values) + 1.2))
    for place, (_, value) in enumerate(values.items()):
        _bar(axes, place, value, COLOURS[place % 2])
    axes.set_xticks(range(len(values)), [name.replace(", ", "\n") for name in values], fontsize=7)
    axes.set_ylim(0, 1.03)
    axes.set_ylabel(label)
    return figure


def png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as a PNG on white."""
    stream = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(stream, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return stream.getvalue()


def data_uri(image: bytes, kind: str = "image/png") -> str:
    """An image as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(image).decode()}"


def _bar(axes: Axes, place: float, value: Interval, colour: str, width: float = 0.6, label: str | None = None) -> None:
    if math.isnan(value.value):
        return
    below, above = (0.0 if math.isnan(gap) else max(0.0, gap) for gap in (value.value - value.low, value.high - value.value))
    error = [[below], [above]]
    axes.bar(place, value.value, width, color=colour, yerr=error, capsize=2, ecolor=INK, error_kw={"linewidth": 0.9}, label=label)


def _points(axes: Axes, places: Sequence[float], values: Sequence[Interval], colour: str, label: str) -> None:
    middle = [value.value for value in values]
    error = [[max(0.0, value.value - value.low) for value in values], [max(0.0, value.high - value.value) for value in values]]
    axes.errorbar(places, middle, yerr=error, color=colour, marker="o", markersize=3, linewidth=1.2, capsize=2, elinewidth=0.8, label=label)


def _legend(axes: Axes, columns: int = 1) -> None:
    """Beside the axes, where no bar can hide it."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1:
        axes.legend(handles, labels, fontsize=7, frameon=False, labelcolor=INK, ncols=columns, loc="upper left", bbox_to_anchor=(1.0, 1.0))
