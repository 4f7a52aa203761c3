"""Checks: reference solutions are correct; verdicts are complete, and equal to those of the texts."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from igsm_pipeline import text
from igsm_pipeline.errors import BadProblem
from igsm_pipeline.problems.checks import problems_of
from igsm_pipeline.stage import Outcome, StageUnits
from igsm_pipeline.verification.token_path import problem_from_text
from igsm_pipeline.verification.verdict import Error
from igsm_pipeline.verification.verifier import verify

SAMPLE = 16
_COMPARED = ("correct", "error", "sentence", "final_answer_correct", "unnecessary_parameters", "unnecessary_operations")


def gold_solutions_verify(run: StageUnits) -> Outcome:
    """The reference solutions of a sample of every problem set are correct, from text alone, with the record's value as the answer."""
    error: Error | BadProblem | None
    wrong, judged = [], 0
    for unit in run.units:
        batch = problems_of(run, unit, unit.settings["family"]["modulus"])
        for index in np.linspace(0, len(batch) - 1, min(SAMPLE, len(batch)), dtype=int).tolist():
            problem, record = batch[index], batch.records[index]
            answer = int(record["values"][record["order"][record["num_necessary"] - 1]])
            judged += 1
            try:
                error = verify(problem_from_text(problem, batch.world)[0], text.render_solution(problem), answer).error
            except BadProblem as refused:  # no text can be made of the record
                error = refused
            if error is not None:
                wrong.append(f"{unit.name} problem {index}: {error}")
    return Outcome(not wrong, "; ".join(wrong) or f"{judged} reference solutions are correct", {"solutions judged": judged})


def one_per_completion(run: StageUnits) -> Outcome:
    """Every completion has one verdict, in the order of the generations; a correct one has no error, the right answer, and an end of text."""
    wrong, judged = [], 0
    for unit in run.units:
        generations = pq.read_table(run.store.path(unit.inputs["generations"]) / "generations.parquet", columns=["problem", "tokens", "finished"])
        verdicts = pq.read_table(run.store.path(unit) / "verdicts.parquet")
        written = pc.list_value_length(generations["tokens"]).to_pylist()
        asked = list(zip(generations["problem"].to_pylist(), generations["finished"].to_pylist(), written, strict=True))
        found = list(zip(*(verdicts[name].to_pylist() for name in ("problem", "finished", "completion_tokens")), strict=True))
        if asked != found:
            wrong.append(f"{unit.name}: verdicts must be those of the {len(asked)} completions in their order, got {len(found)} others")
        rows = verdicts.select(["correct", "error", "final_answer_correct", "finished"]).to_pylist()
        odd = sum(row["correct"] != (row["error"] is None) or row["correct"] > (row["final_answer_correct"] and row["finished"]) for row in rows)
        if odd:
            wrong.append(f"{unit.name}: {odd} verdicts contradict themselves (correct, error, final_answer_correct, finished)")
        judged += len(rows)
    return Outcome(not wrong, "; ".join(wrong) or f"{judged:,} verdicts, one per completion", {"verdicts": judged})


def texts_agree(run: StageUnits) -> Outcome:
    """A sample of every slice is verified again from text, with the same verdicts as the stage found from token ids."""
    wrong, judged = [], 0
    for unit in run.units:
        batch = problems_of(run, unit, unit.settings["modulus"])
        columns = ["problem", "solution", "answer", "finished"]
        generations = pq.read_table(run.store.path(unit.inputs["generations"]) / "generations.parquet", columns=columns).to_pylist()
        verdicts = pq.read_table(run.store.path(unit) / "verdicts.parquet", columns=list(_COMPARED)).to_pylist()
        for index in np.linspace(0, len(verdicts) - 1, min(SAMPLE, len(verdicts)), dtype=int).tolist():
            made = generations[index]
            finished = made["finished"] and made["answer"] is not None  # a completion without an answer is truncated
            problem, _ = problem_from_text(batch[made["problem"]], batch.world)
            verdict = verify(problem, made["solution"], made["answer"], finished=finished)
            judged += 1
            if any(verdicts[index][name] != getattr(verdict, name) for name in _COMPARED):
                wrong.append(f"{unit.name} row {index}: {verdicts[index]['error']}, but from its text {verdict.error}")
    return Outcome(not wrong, "; ".join(wrong) or f"{judged} completions have the same verdicts from text", {"completions judged": judged})
