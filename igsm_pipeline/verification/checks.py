"""What must hold of problem sets as texts: the verifier accepts their reference solutions."""

from __future__ import annotations

import numpy as np

from igsm_pipeline import text
from igsm_pipeline.problems import read_problems
from igsm_pipeline.stage import Outcome, StageUnits
from igsm_pipeline.verification.verifier import verify
from igsm_pipeline.world import load_world

SAMPLE = 16


def gold_solutions_verify(run: StageUnits) -> Outcome:
    """The reference solution of a sample of every problem set passes the verifier, from text alone."""
    wrong, judged = [], 0
    for unit in run.units:
        world = load_world(run.store.path(unit.inputs["world"]) / "world.json")
        batch = read_problems(run.store.path(unit), world, unit.settings["family"]["modulus"])
        for index in np.linspace(0, len(batch) - 1, min(SAMPLE, len(batch)), dtype=int).tolist():
            problem = batch[index]
            verdict = verify(problem, text.render_solution(problem), text.render_answer(problem))
            judged += 1
            if not verdict.correct:
                wrong.append(f"{unit.name} problem {index}: {verdict.error}")
    return Outcome(not wrong, "; ".join(wrong) or f"{judged} reference solutions are correct", {"solutions judged": judged})
