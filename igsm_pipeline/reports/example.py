"""One problem worked through: what was asked, what the model wrote, and where it went wrong."""

from __future__ import annotations

import html
from dataclasses import dataclass

from igsm_pipeline.problems import ProblemBatch, read_problems
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.reports.findings import Findings, Row
from igsm_pipeline.reports.page import Markup
from igsm_pipeline.world import load_world


@dataclass(frozen=True)
class Example:
    """A problem with the model's solution.

    Attributes:
        slice: whose problem it is.
        row: its row in the problem set.
        batch: the problem set.
        problem: the problem.
        text: what the model wrote.
        verdict: the row of verdicts.parquet.
    """

    slice: str
    row: int
    batch: ProblemBatch
    problem: Problem
    text: str
    verdict: Row


def choose_example(findings: Findings, modulus: int, *, correct: bool) -> Example | None:
    """The solution with the most operations among the right (or wrong) greedy ones, probed ones first; None where there is none.

    Args:
        findings: the member's units.
        modulus: M.
        correct: a right solution or a wrong one.
    """
    probed = {(row["slice"], row["problem"]) for row in findings.mind()}
    rows = [row for row in findings.verdicts() if row["beams"] == 1 and bool(row["correct"]) == correct]
    best = max(rows, key=lambda row: ((row["slice"], row["problem"]) in probed, row["slice"] != "reask", row["op"], -row["problem"]), default=None)
    return None if best is None else _example(findings, modulus, best)


def example_near(findings: Findings, modulus: int, op: int) -> Example | None:
    """A right greedy solution of a problem of about so many operations, the shortest text among them; None where there is none."""
    rows = [row for row in findings.verdicts() if row["beams"] == 1 and row["correct"]]
    best = min(rows, key=lambda row: (abs(row["op"] - op), row["completion_tokens"], row["slice"], row["problem"]), default=None)
    return None if best is None else _example(findings, modulus, best)


def _example(findings: Findings, modulus: int, verdict: Row) -> Example | None:
    part, number = verdict["slice"], verdict["problem"]
    world, problems = findings.one("world"), findings.one("problem_sets", part)
    generations = next((source for source in findings.of("generations") if source.slice == part and source.beams == 1), None)
    if world is None or problems is None or generations is None:
        return None
    batch = read_problems(problems.folder, load_world(world.folder / "world.json"), modulus)
    text = next(row["text"] for row in generations.tables("generations") if row["problem"] == number)
    return Example(part, number, batch, batch[number], text, verdict)


def solution_list(text: str, wrong_sentence: int | None) -> Markup:
    """The sentences of a solution as a list counted from 1, the answer last, the one with the first error marked.

    Args:
        text: what the model wrote.
        wrong_sentence: index of the sentence with the first error, from 0; None where there is none.
    """
    sentences = [part for part in text.strip().split(". ") if part]
    items = []
    for index, sentence in enumerate(sentences):
        last = index == len(sentences) - 1
        words = f"Answer: {sentence}" if last and sentence.strip(". ").isdigit() else sentence + ("" if last else ".")
        items.append(f"<li{' class=wrong' if index == wrong_sentence else ''}>{html.escape(words)}</li>")
    return Markup(f'<ol class="solution">{"".join(items)}</ol>')
