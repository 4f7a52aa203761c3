"""Checks of problems of one's own."""

from __future__ import annotations

import numpy as np

from igsm_pipeline.problems import read_problems
from igsm_pipeline.stage import Outcome, StageUnits
from igsm_pipeline.text import render_answer, render_problem, render_question, render_solution
from igsm_pipeline.text.parsing import parse_problem
from igsm_pipeline.verification.verifier import verify
from igsm_pipeline.world import load_world

SAMPLE = 64


def solutions_verify(run: StageUnits) -> Outcome:
    """The solutions of a sample of rows, as they stand in the records, are right by the problem that its text alone tells."""
    wrong, judged = [], 0
    for unit in run.units:
        batch = read_problems(run.store.path(unit), load_world(run.store.path(unit.inputs["world"])), unit.settings["modulus"])
        for index in np.linspace(0, len(batch) - 1, min(SAMPLE, len(batch)), dtype=int).tolist():
            problem = batch[index]
            told = parse_problem(render_problem(problem) + render_question(problem), batch.world, batch.modulus)
            error = verify(told, render_solution(problem), render_answer(problem)).error
            judged += 1
            if error is not None:
                wrong.append(f"row {int(batch.records[index]['draw'])}: {error}")
    return Outcome(not wrong, "; ".join(wrong) or f"{judged} solutions are right", {"solutions judged": judged})
