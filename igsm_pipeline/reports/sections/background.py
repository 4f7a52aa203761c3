"""What stands behind the results: how the model learned, its problems, what is not shown, and where every number comes from."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence

from igsm_pipeline.intervals.interval import Interval
from igsm_pipeline.reports.charts.chart import HALF
from igsm_pipeline.reports.charts.curves import Point, draw_curves, looks, thinned
from igsm_pipeline.reports.charts.theme import BLUE, Series
from igsm_pipeline.reports.findings import Row
from igsm_pipeline.reports.page import Cell, Page
from igsm_pipeline.reports.results import Results
from igsm_pipeline.settings import hash_json
from igsm_pipeline.training.curves import PACE, ops_of, slices_of


def write_learning(page: Page, results: Results) -> None:
    """How the loss fell and what it solved meanwhile; nothing without a training."""
    lines = results.findings.training()
    if not lines:
        page.missing("How it learned", "no training has written its curves")
        return
    page.section("How it learned")
    page.how(
        "The loss cannot tell a broken model from a good one, so that solved problems are counted while it trains.",
        "Left: the loss per token; right: the share of test problems solved, by number of operations.",
    )
    losses = thinned([row for row in lines if "loss" in row])
    look = Series("loss", BLUE)
    points = [Point(row["step"], look, _bare(row["loss"])) for row in losses]
    loss = draw_curves(
        "loss", "Training loss over steps.", points, x="step", y="loss, nats per token", domain=None, marks=False, digits=3, width=HALF
    )
    watched = _watched(lines)
    solved = (
        draw_curves("training", "Share of watched test problems solved over steps of training.", watched, x="step", y="solved, %", width=HALF)
        if watched
        else None
    )
    page.charts_beside([("Loss", loss), *([("Solved while training", solved)] if solved is not None else [])])
    page.text(*_pace(losses))
    page.fold(
        "training",
        ("step", "loss"),
        [(row["step"], row["loss"]) for row in thinned(losses, 12)],
        "Some of the steps; the file has more.",
        (("step", "loss"), [(row["step"], row["loss"]) for row in losses]),
    )
    for line in lines:
        if "warning" in line:
            page.text(f"Step {line['step']}: {line['warning']}")


def _pace(rows: Sequence[Row]) -> list[str]:
    """How fast it was, and what held it up, in the median logged step; nothing where no clock was kept."""
    found = {name: statistics.median(values) for name in PACE if (values := [row[name] for row in rows if name in row])}
    if "padding" not in found:
        return []
    told = f"{found['tokens_per_s']:,.0f} tokens per second, {found['tflops_per_s']:.3g} TFLOP/s"
    told += f" ({found['mfu']:.0%} of the GPU's peak)" if "mfu" in found else ""
    told += f"; {found['padding']:.0%} of the positions are padding, {found['waiting']:.0%} of the time it waited for batches"
    told += f"; {found['memory_gb']:.1f} GB of the GPU in use" if "memory_gb" in found else ""
    return [f"Pace of the median logged step: {told}."]


def _bare(value: float) -> Interval:
    return Interval(value, math.nan, math.nan)


def _watched(lines: Sequence[Row]) -> list[Point]:
    found: list[tuple[int, str, float]] = []
    for row in lines:
        found += [(row["step"], f"{op} operation{'s' if op > 1 else ''}", value) for op, value in ops_of(row).items()]
        found += [(row["step"], part, value) for part, value in slices_of(row).items()]
    series = looks(list(dict.fromkeys(name for _, name, _ in found)))
    return [Point(step, series[name], _bare(100 * value)) for step, name, value in found]


def write_problems(page: Page, results: Results) -> None:
    """The problem sets and how long their problems are; nothing without any."""
    sets = results.findings.of("problem_sets")
    if not sets:
        return
    page.section("The problems")
    page.how(
        "Every set is drawn by the same law; test problems come from templates (or problems) that the training cannot contain.",
        "The share in training bins says how many of a set's templates the training split could contain.",
    )
    rows: list[tuple[Cell, ...]] = []
    curves: dict[str, Mapping[int, int]] = {}
    for source in sets:
        summary = json.loads((source.folder / "summary.json").read_text())
        settings = source.manifest["settings"]
        counts = {op: number for op, number in enumerate(summary["op_histogram"]) if number}
        if len(counts) > 1:
            curves[source.name] = counts
        rows.append((source.name, summary["problems"], settings["split"], settings["seed"], f"{100 * summary['train_template_share']:.1f}"))
    series = looks(list(curves))
    points = [
        Point(op, series[name], _bare(100 * number / sum(counts.values())), sum(counts.values()))
        for name, counts in curves.items()
        for op, number in counts.items()
    ]
    if points:
        chart = draw_curves(
            "ops", "Share of each number of operations, by set of problems.", points, x="operations", y="share of the set, %", domain=None
        )
        page.chart(chart, "How long the problems are.", "Sets whose problems all have the same number of operations are not drawn.")
    page.fold("problem_sets", ("set", "problems", "split", "seed", "in training bins, %"), rows)


def write_missing(page: Page) -> None:
    """What is not shown, once, with the reasons; nothing where all is there."""
    missing = page.what_is_missing()
    if missing:
        page.section("What is not shown")
        page.table(("what", "why"), missing)


def write_provenance(page: Page, results: Results) -> None:
    """Command, date, software, machine, cost, fingerprint."""
    findings, settings = results.findings, results.settings
    page.section("Where the numbers come from")
    page.text("This command makes the page again; what is there already is not computed twice.")
    page.code(f"igsm run {settings.member}")
    checkpoint = findings.one("checkpoint")
    manifest = checkpoint.manifest if checkpoint is not None else findings.sources[0].manifest if findings.sources else {}
    machine, libraries, code = manifest.get("machine", {}), manifest.get("libraries", {}), manifest.get("code", {})
    runtime = manifest.get("runtime", {}).get("training", {})
    rows: list[tuple[str, str]] = [
        ("experiment", f"{settings.member}: {settings.title}" if settings.title else settings.member),
        ("training finished", str(manifest.get("finished", ""))),
        ("igsm_pipeline", ", commit ".join(str(code[name]) for name in ("version", "commit") if code.get(name))),
        (
            "processor",
            ", ".join(part for part in (machine.get("processor", ""), f"{machine.get('system', '')} {machine.get('machine', '')}".strip()) if part),
        ),
        ("threads", str(machine.get("threads", ""))),
        ("device", str(runtime.get("device", ""))),
        (
            "Python and libraries",
            ", ".join([f"Python {machine['python']}"] * ("python" in machine) + [f"{name} {version}" for name, version in libraries.items()]),
        ),
        ("family of problems", json.dumps(results.family)),
        ("fingerprint of all inputs", hash_json(sorted(str(source.manifest["content"]) for source in findings.sources))),
    ]
    page.table(("what", "value"), [row for row in rows if row[1]])
    seconds: dict[str, list[float]] = {}
    for source in findings.sources:
        seconds.setdefault(source.stage, []).append(float(source.manifest["seconds"]))
    total = sum(map(sum, seconds.values()))
    cost = [(stage, len(each), round(sum(each), 1)) for stage, each in seconds.items()]
    page.text(f"All of it took {total / 60:,.0f} minutes of computing, added up over the stages.")
    page.fold("cost", ("stage", "units", "seconds"), cost)
