"""One problem worked through: what was asked, what the model wrote, where it went wrong, and what its mind held meanwhile."""

from __future__ import annotations

import html
from dataclasses import dataclass

from igsm_pipeline.problems import ProblemBatch, read_problems
from igsm_pipeline.problems.anatomy import NUM_PARAMETERS
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.problems.record import parameter_of
from igsm_pipeline.reports.findings import Findings, Row
from igsm_pipeline.reports.page import Markup
from igsm_pipeline.world import load_world

MIND_TASKS = ("nece", "known", "can_next", "nece_next")


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
    world = findings.one("world")
    rows = [row for row in findings.verdicts() if row["beams"] == 1 and bool(row["correct"]) == correct]
    if not rows or world is None:
        return None
    best = max(rows, key=lambda row: ((row["slice"], row["problem"]) in probed, row["slice"] != "reask", row["op"], -row["problem"]))
    problems = findings.one("problem_sets", best["slice"])
    generations = next((source for source in findings.of("generations") if source.slice == best["slice"] and source.beams == 1), None)
    if problems is None or generations is None:
        return None
    batch = read_problems(problems.folder, load_world(world.folder / "world.json"), modulus)
    text = next(row["text"] for row in generations.tables("generations") if row["problem"] == best["problem"])
    return Example(best["slice"], best["problem"], batch, batch[best["problem"]], text, best)


def solution_list(text: str, wrong_sentence: int | None) -> Markup:
    """The sentences of a solution as a list counted from 0, the one with the first error marked."""
    sentences = [part for part in text.strip().split(". ") if part]
    items = "".join(
        f"<li{' class=wrong' if index == wrong_sentence else ''}>{html.escape(sentence)}{'.' if index < len(sentences) - 1 else ''}</li>"
        for index, sentence in enumerate(sentences)
    )
    return Markup(f'<ol class="solution" start="0">{items}</ol>')


def mind_map(example: Example, beliefs: list[Row], task: str) -> Markup | None:
    """What a probe reads off the model at each step of the reference solution, parameter by parameter; None where nothing was asked.

    Args:
        example: the problem.
        beliefs: rows of mental_state.parquet of this member.
        task: which question.

    Returns:
        A table, parameters down and sentences read across; a coloured cell is believed true, a red one is believed wrongly.
    """
    rows = [
        row for row in beliefs
        if row["task"] == task and row["slice"] == example.slice and row["problem"] == example.row and row["parameter"] < NUM_PARAMETERS
    ]  # fmt: skip
    if not rows:
        return None
    record = example.batch.records[example.row]
    cells = {(row["parameter"], row["position"]): row for row in rows}
    positions = sorted({position for _, position in cells})
    lines = []
    for code in sorted({code for code, _ in cells}):
        name = html.escape(example.problem.name(parameter_of(record, code)))
        lines.append(f"<tr><th scope=row>{name}</th>" + "".join(_belief(cells.get((code, position))) for position in positions) + "</tr>")
    head = "".join(f"<th scope=col>{position}</th>" for position in positions)
    top = f"<thead><tr><th scope=col>{task}, after sentence</th>{head}</tr></thead>"
    return Markup(f'<figure><table class="mind">{top}<tbody>{"".join(lines)}</tbody></table></figure>')


def _belief(row: Row | None) -> str:
    if row is None:
        return "<td></td>"
    said, truth = int(row["prediction"]), int(row["label"])
    kind = "miss" if said != truth else "yes" if said else ""
    words = f"believed {bool(said)}, in truth {bool(truth)}, probability {row['score']:.2f}"
    return f'<td class="{kind}" title="{words}">{"yes" if said else "no"}</td>'
