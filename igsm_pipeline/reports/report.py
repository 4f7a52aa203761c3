"""What the report says, section by section; a section appears when its stage has units."""

from __future__ import annotations

import json
import platform

from matplotlib.figure import Figure

from igsm_pipeline.reports import figures
from igsm_pipeline.reports.example import MIND_TASKS, Example, choose_example, mind_map, solution_list
from igsm_pipeline.reports.findings import Findings, Row
from igsm_pipeline.reports.graphs import counts, dependency_graph
from igsm_pipeline.reports.page import Markup, Page
from igsm_pipeline.reports.paper import FIGURE_3
from igsm_pipeline.reports.settings import ReportSettings
from igsm_pipeline.reports.tables import (
    PROBES,
    Accuracy,
    accuracy_by_op,
    accuracy_rows,
    errors_by_slice,
    score,
    whole_scores,
)
from igsm_pipeline.settings import hash_json
from igsm_pipeline.text import render_problem, render_question

Figures = dict[str, Figure]
_SHARES = ("accuracy", "accuracy_positive", "accuracy_negative")


def build_report(settings: ReportSettings, findings: Findings) -> tuple[Page, Figures]:
    """The page of one member, and its figures by file name."""
    family = family_of(findings)
    fingerprint = hash_json(sorted(str(source.manifest["content"]) for source in findings.sources))
    page = Page(
        f"iGSM report: {settings.member}",
        f"{settings.title + '. ' if settings.title else ''}A language model trained from scratch on synthetic grade-school maths (iGSM): how many "
        f"problems it solves step by step, what it knows before it speaks, and where its mistakes come from. Shares come with n and a 95% interval.",
    )
    drawn: Figures = {}
    _how(page, settings, findings, fingerprint)
    verdicts = findings.verdicts()
    if verdicts:
        _accuracy(page, drawn, settings, verdicts, family)
    if findings.training():
        _training(page, drawn, findings.training())
    scores = findings.probe_scores()
    if scores:
        _probes(page, drawn, scores)
    if findings.distances():
        _distances(page, drawn, findings.distances())
    if findings.of("error_correlation"):
        _correlation(page, findings)
    _example(page, findings, int(family.get("modulus", 0)))
    _data(page, drawn, findings)
    return page, drawn


def family_of(findings: Findings) -> Row:
    """The family's settings, from the problem sets; empty without any."""
    source = findings.one("problem_sets")
    return dict(source.manifest["settings"]["family"]) if source is not None else {}


def _show(page: Page, drawn: Figures, name: str, figure: Figure, caption: str) -> None:
    drawn[name] = figure
    page.figure(figures.svg(figure), caption)


def _how(page: Page, settings: ReportSettings, findings: Findings, fingerprint: str) -> None:
    page.section("How this was made", "The command below makes this page again; what is fresh is not computed twice.")
    page.code(f"igsm run {settings.member}", "Command")
    checkpoint = findings.one("checkpoint")
    machine = checkpoint.manifest if checkpoint is not None else findings.sources[0].manifest if findings.sources else {}
    libraries = ", ".join(f"{name} {version}" for name, version in machine.get("libraries", {}).items())
    hardware = machine.get("machine", {})
    family = family_of(findings)
    rows: list[tuple[str, str | int]] = [
        ("fingerprint of all inputs", fingerprint),
        (
            "machine of the training",
            f"{hardware.get('system', '?')} {hardware.get('machine', '?')}, Python {hardware.get('python', platform.python_version())}",
        ),
        ("libraries", libraries),
        ("family", json.dumps(family)),
        ("split by", str(family.get("split_by", "?"))),
    ]
    page.table(("what", "value"), rows)
    seconds: dict[str, list[float]] = {}
    for source in findings.sources:
        seconds.setdefault(source.stage, []).append(float(source.manifest["seconds"]))
    page.table(("stage", "units", "seconds to compute"), [(stage, len(each), round(sum(each), 1)) for stage, each in seconds.items()])


def _accuracy(page: Page, drawn: Figures, settings: ReportSettings, verdicts: list[Row], family: Row) -> None:
    rows = accuracy_rows(verdicts)
    paper = FIGURE_3.get(settings.member.partition(".")[0], {})
    page.section(
        "Does it solve the problems?",
        "A solution is correct when every step is: symbols, references, arithmetic, dependencies, the answer (figures 3 and 4 of the paper).",
    )
    head = ("slice", "n", "fully correct, %", "paper, %", "answer correct, %", "unfinished, %", "unnecessary operations", "unnecessary parameters")
    page.table(
        head, [_accuracy_row(row, paper.get(row.slice)) for row in rows], "In brackets: 95% intervals; unnecessary ones per fully correct solution."
    )
    _show(
        page, drawn, "accuracy", figures.accuracy_bars(rows, paper), "Fully correct solutions per slice; dotted: the paper's value, where it has one."
    )
    by_op = accuracy_by_op(verdicts)
    _show(
        page,
        drawn,
        "accuracy_by_op",
        figures.accuracy_per_op(by_op, family.get("op_max")),
        "Per op; beyond the dashed line: longer than anything trained on.",
    )
    page.table(
        ("op", "n", "fully correct, %"),
        [(f"{row.op}" + ("" if row.beams == 1 else f", beam {row.beams}"), row.n, row.correct.percent()) for row in by_op],
    )
    _show(page, drawn, "unnecessary", figures.unnecessary_bars(rows), "Unnecessary operations and parameters per fully correct solution.")
    errors = [(part, error, number) for part, found in errors_by_slice(verdicts).items() for error, number in found.items()]
    if errors:
        page.table(("slice", "first error", "solutions"), errors, "What goes wrong first, greedy decoding.")


def _accuracy_row(row: Accuracy, paper: float | None) -> tuple[str | int | float | None, ...]:
    extra = [None if value.value != value.value else value.plain() for value in (row.extra_operations, row.extra_parameters)]
    return (row.name, row.n, row.correct.percent(), paper, row.answer.percent(), row.unfinished.percent(), *extra)


def _training(page: Page, drawn: Figures, lines: list[Row]) -> None:
    page.section(
        "How it learned", "The loss cannot tell a broken model from a good one, so fully-correct accuracy per op is watched while it trains."
    )
    _show(page, drawn, "training", figures.training_curves(lines), "Loss, and accuracy on test problems of each op.")
    for line in lines:
        if "warning" in line:
            page.text(f"Step {line['step']}: {line['warning']}")


def _probes(page: Page, drawn: Figures, scores: list[Row]) -> None:
    candidates = ", ".join(sorted({str(row["candidates"]) for row in scores}))
    page.section(
        "What does it know?",
        "nece: is the parameter needed for the answer? dep: does one rest on another? known: is it computed? value: which one? can_next: could it be "
        "computed next? nece_next: could and should it?",
        f"Candidate set: {candidates}. Balanced accuracy in percent; of the linear probes the best layer on that very slice.",
    )
    best = whole_scores(scores)
    keys = list(dict.fromkeys((task, part) for task, part, _ in best))
    probes = [probe for probe in PROBES if any((task, part, probe) in best for task, part in keys)]
    rows = []
    for task, part in keys:
        found = [score(best.get((task, part, probe)), "balanced_accuracy") for probe in probes]
        first = next(best[task, part, probe] for probe in probes if (task, part, probe) in best)
        rows.append((f"{task}, {part}", first["n"], *(value.percent() if value is not None else None for value in found)))
    page.table(("task, slice", "queries", *(figures.PROBE_NAMES[probe] for probe in probes)), rows)
    details = [
        (
            f"{task}, {part}, {figures.PROBE_NAMES[probe]}", row["layer"], row["n"], row["num_problems"],
            *(value.percent() if (value := score(row, name)) is not None else None for name in _SHARES),
            *(value.plain() if (value := score(row, name)) is not None else None for name in ("mcc", "auroc")),
        )
        for (task, part, probe), row in best.items()
    ]  # fmt: skip
    page.markup(Markup("<details><summary>Accuracy, on positives and on negatives, MCC, AUROC (figure 12)</summary>"))
    page.table(("task, slice, probe", "layer", "queries", "problems", "accuracy", "on positives", "on negatives", "MCC", "AUROC"), details)
    page.markup(Markup("</details>"))
    for number, part in enumerate(dict.fromkeys(part for _, part in keys)):
        _show(page, drawn, f"probes_{number}", figures.probe_bars(scores, part), f"Figure 7 on {part}: probes beside their controls.")
        if any(row["subset"] == "unnecessary" and row["slice"] == part and row["probe"] == "v_probe" for row in scores):
            _show(
                page,
                drawn,
                f"necessary_{number}",
                figures.necessary_bars(scores, part),
                f"Figure 7b on {part}: of parameters that the answer does not need, too.",
            )


def _distances(page: Page, drawn: Figures, rows: list[Row]) -> None:
    linear = [row for row in rows if row["probe"] == "linear"]
    if not linear:
        return
    page.section(
        "Where in the network?",
        "Share of necessary parameters that the linear nece probe calls necessary, by layer and by distance to the query (figure 10).",
    )
    for number, part in enumerate(dict.fromkeys(row["slice"] for row in linear)):
        sizes = sorted({row["n"] for row in linear if row["slice"] == part})
        caption = f"{part}; {sizes[0]:,} to {sizes[-1]:,} parameters per cell."
        _show(page, drawn, f"layers_{number}", figures.layer_by_distance(rows, part), caption)


def _correlation(page: Page, findings: Findings) -> None:
    page.section(
        "Do mistakes show in the mind first?",
        "How often the probe shares what the model did wrong (rate), against how often it says the same elsewhere, just as falsely (fig. 8).",
    )
    rows = [row for source in findings.of("error_correlation") for row in source.tables("correlation")]
    cells = [
        (f"8{row['figure']}, {row['task']}, {row['slice']}", row["solutions"], row["n"], _interval(row, "rate", "low", "high"),
         _interval(row, "baseline_rate", "baseline_low", "baseline_high"), row["baseline_n"], _interval(row, "excess", "excess_low", "excess_high"))
        for row in rows
    ]  # fmt: skip
    page.table(("figure, task, slice", "solutions", "events", "rate, %", "elsewhere, %", "queries elsewhere", "difference, points"), cells)
    predicted = [row for source in findings.of("error_correlation") for row in source.tables("mistake_predictor")]
    if predicted:
        page.text("Will the solution be wrong? Predicted at the end of the question, before a word of it is written, out of fold:")
        lines = [
            (f"{row['target']}, {row['slice']}, {row['features']}", row["n"], row["positives"], _interval(row, "auroc", "auroc_low", "auroc_high", 1))
            for row in predicted
        ]
        page.table(("target, slice, features", "solutions", "positives", "AUROC"), lines)


def _interval(row: Row, value: str, low: str, high: str, scale: int = 100) -> str | None:
    if row[value] is None:
        return None
    digits = 1 if scale == 100 else 2
    ends = f" ({scale * row[low]:.{digits}f} to {scale * row[high]:.{digits}f})" if row[low] is not None and row[high] is not None else ""
    return f"{scale * row[value]:.{digits}f}{ends}"


def _example(page: Page, findings: Findings, modulus: int) -> None:
    chosen = [(title, choose_example(findings, modulus, correct=right)) for title, right in (("One it solves", True), ("One it gets wrong", False))]
    if not any(example for _, example in chosen):
        return
    page.section(
        "Worked examples",
        "Arrows lead from a parameter to what is computed from it. Blue: needed for the answer; thick: asked for; "
        "dashed: abstract; pale: not needed; "
        "red: where the solution fails.",
    )
    for title, example in chosen:
        if example is not None:
            _one_example(page, findings, title, example)


def _one_example(page: Page, findings: Findings, title: str, example: Example) -> None:
    problem, verdict = example.problem, example.verdict
    page.markup(Markup(f"<h3>{title} ({example.slice.replace('<', '&lt;')}, problem {example.row}, op {problem.op})</h3>"))
    page.code((render_problem(problem) + render_question(problem)).strip(), "Problem")
    size = counts(problem)
    caption = (
        f"{size['parameters']} parameters, {size['necessary']} of them necessary, {size['edges']} dependencies; true values mod {problem.modulus}."
    )
    page.figure(dependency_graph(problem, verdict["parameter"]), caption)
    page.markup(solution_list(example.text, verdict["sentence"]))
    if verdict["correct"]:
        page.markup(Markup('<p class="good">Correct, every step of it.</p>'))
    else:
        page.markup(Markup(f'<p class="bad">First error: {verdict["error"]}, in sentence {verdict["sentence"]} (counted from 0).</p>'))
    beliefs = findings.mind()
    maps = [found for task in MIND_TASKS if (found := mind_map(example, beliefs, task)) is not None]
    if maps:
        page.text("The model's mind along the reference solution, read by V-probes at the drawn queries. Coloured: believed; red: wrongly.")
        for found in maps:
            page.markup(found)


def _data(page: Page, drawn: Figures, findings: Findings) -> None:
    sets = findings.of("problem_sets")
    if not sets:
        return
    page.section(
        "The problems",
        "Ops of every set; the shares of templates that the training split could contain (test sets and training set are disjoint by construction).",
    )
    histograms, rows = {}, []
    for source in sets:
        summary = json.loads((source.folder / "summary.json").read_text())
        histograms[source.name] = {op: number for op, number in enumerate(summary["op_histogram"]) if number}
        settings = source.manifest["settings"]
        rows.append((source.name, summary["problems"], settings["split"], settings["seed"], f"{100 * summary['train_template_share']:.1f}"))
    page.table(("set", "problems", "split", "seed", "in training bins, %"), rows)
    _show(page, drawn, "ops", figures.op_histogram(histograms), "Share of each op.")
