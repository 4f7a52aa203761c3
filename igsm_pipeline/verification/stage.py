"""Stage verdicts: problems + generations -> one verdict per completion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from igsm_pipeline.errors import BadProblem
from igsm_pipeline.problems import Problem, read_problems
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.store import Writing
from igsm_pipeline.text import parse_problem, render_problem, render_question
from igsm_pipeline.verification.settings import VerdictSettings
from igsm_pipeline.verification.verifier import verify
from igsm_pipeline.world import World, load_world

STAGE: str = "verdicts"
VERSION: int = 1

SCHEMA = pa.schema(
    [
        ("problem", pa.int32()),
        ("op", pa.int16()),
        ("num_necessary", pa.int16()),
        ("template_bin", pa.int16()),
        ("correct", pa.bool_()),
        ("error", pa.string()),
        ("sentence", pa.int32()),
        ("parameter", pa.string()),
        ("final_answer_correct", pa.bool_()),
        ("unnecessary_parameters", pa.int32()),
        ("unnecessary_operations", pa.int32()),
        ("finished", pa.bool_()),
        ("completion_tokens", pa.int32()),
    ]
)


def write_verdicts(settings: VerdictSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write ``verdicts.parquet``: one row per row of the generations, in their order.

    A completion without an answer is truncated at best, whether or not the model ended it.

    Args:
        settings: the modulus.
        inputs: ``world``, ``problems``, ``generations``.
        writing: the unit being written.

    Raises:
        BadProblem: a generation is of a problem that the set does not hold.
    """
    world = load_world(inputs["world"] / "world.json")
    problems = read_problems(inputs["problems"], world, settings.modulus)
    columns = ["problem", "tokens", "finished", "solution", "answer"]
    generations = pq.read_table(inputs["generations"] / "generations.parquet", columns=columns).to_pylist()
    rows: list[dict[str, Any]] = []
    ambiguous = 0
    for made in tqdm(generations, desc="verdicts", unit="solution"):
        number = made["problem"]
        if not 0 <= number < len(problems):
            raise BadProblem("generations: problem", f"must be a row of the problem set (below {len(problems)})", number, "generate again")
        record = problems.records[number]
        problem, is_ambiguous = problem_from_text(problems[number], world)
        ambiguous += is_ambiguous
        verdict = verify(problem, made["solution"], made["answer"], finished=made["finished"] and made["answer"] is not None)
        rows.append(
            {
                "problem": number,
                "op": int(record["op"]),
                "num_necessary": int(record["num_necessary"]),
                "template_bin": int(record["template_bin"]),
                "correct": verdict.correct,
                "error": verdict.error,
                "sentence": verdict.sentence,
                "parameter": verdict.parameter,
                "final_answer_correct": verdict.final_answer_correct,
                "unnecessary_parameters": verdict.unnecessary_parameters,
                "unnecessary_operations": verdict.unnecessary_operations,
                "finished": made["finished"],
                "completion_tokens": len(made["tokens"]),
            }
        )
    write_parquet(pa.Table.from_pylist(rows, SCHEMA), writing.folder / "verdicts.parquet")
    writing.counts.update(solutions=len(rows), correct=sum(row["correct"] for row in rows), ambiguous_problems=ambiguous)
    errors = Counter(str(row["error"]) for row in rows if not row["correct"])
    writing.counts.update({f"error_{kind}": count for kind, count in sorted(errors.items())})


def problem_from_text(problem: Problem, world: World) -> tuple[Problem, bool]:
    """The problem as its text alone tells it, and False; the problem itself, and True, where a lenient world's text has two readings."""
    try:
        return parse_problem(render_problem(problem) + render_question(problem), world, problem.modulus), False
    except BadProblem:
        if not world.lenient:
            raise
        return problem, True
