"""What the report says, section by section; a section appears when its stage has units."""

from __future__ import annotations

import json
import math
import platform

from matplotlib.figure import Figure

from igsm_pipeline.reports import figures, mind
from igsm_pipeline.reports.example import MIND_TASKS, Example, choose_example, mind_map, solution_list
from igsm_pipeline.reports.findings import Findings, Row
from igsm_pipeline.reports.graphs import counts, dependency_graph
from igsm_pipeline.reports.page import Markup, Page
from igsm_pipeline.reports.paper import FIGURE_3
from igsm_pipeline.reports.paper_rows import Accuracy, accuracy_by_op, accuracy_rows, errors_by_slice
from igsm_pipeline.reports.settings import ReportSettings
from igsm_pipeline.settings import hash_json
from igsm_pipeline.text import render_problem, render_question

Figures = dict[str, Figure]


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
    mind.write_sections(page, lambda name, figure, caption: _show(page, drawn, name, figure, caption), findings)
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
    extra = [None if math.isnan(value.value) else value.shown() for value in (row.extra_operations, row.extra_parameters)]
    return (row.name, row.n, row.correct.percent(), paper, row.answer.percent(), row.unfinished.percent(), *extra)


def _training(page: Page, drawn: Figures, lines: list[Row]) -> None:
    page.section(
        "How it learned", "The loss cannot tell a broken model from a good one, so fully-correct accuracy per op is watched while it trains."
    )
    _show(page, drawn, "training", figures.training_curves(lines), "Loss, and accuracy on test problems of each op.")
    for line in lines:
        if "warning" in line:
            page.text(f"Step {line['step']}: {line['warning']}")


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
