"""The stage ``generations``: what the model writes."""

from __future__ import annotations

from igsm_pipeline.costs import problems_behind, tokens_per_problem
from igsm_pipeline.generations.settings import GenerationSettings
from igsm_pipeline.stage import Check, Column, Read, Stage, Table, derived
from igsm_pipeline.store import Unit

SLICE = derived("slice", "VARCHAR", "evaluation slice (op<=max, op=max, ..., reask, by_op)", "u.labels->>'slice'")
BEAMS = derived("beams", "INTEGER", "beams of the search; 1 is greedy", "u.labels->>'beams'")
PROBLEM = Column("problem", "int32", "row of the problem in its set, from 0")


def _disk(unit: Unit) -> float:
    return 3 * min(float(unit.settings["max_tokens"]), tokens_per_problem(unit.settings)) * problems_behind(unit)


GENERATIONS = Table(
    "generations",
    "one row per solution that a model wrote",
    "generations.parquet",
    (
        SLICE,
        BEAMS,
        PROBLEM,
        Column("prompt_tokens", "int32", "tokens of the prompt"),
        Column("tokens", "", "ids after the prompt, the end of text included where it came", shown=False),
        derived("completion_tokens", "INTEGER", "tokens written", "len(tokens)"),
        Column("finished", "bool", "the model closed its answer"),
        Column("solution", "string", "text before the answer marker", shown=False),
        Column("answer", "string", "text after the answer marker; null without one", shown=False),
        Column("text", "string", "solution and answer"),
    ),
)

STAGE = Stage(
    name="generations",
    version=1,
    settings=GenerationSettings,
    write="igsm_pipeline.generations.write:write_generations",
    group="model",
    kinds=("pytorch", "parquet"),
    words="The model's own solutions of the test problems, slice by slice, greedy or by beam.",
    reads=(Read("world"), Read("problems", "problem_sets"), Read("checkpoint")),
    tables=(GENERATIONS,),
    checks=(
        Check("one_per_problem", "Each problem has one completion, within max_tokens.", "igsm_pipeline.generations.checks:one_per_problem"),
        Check(
            "room_to_answer",
            "No completion is cut off before the reference solution would have fitted.",
            "igsm_pipeline.generations.checks:room_to_answer",
            blocking=False,
        ),
    ),
    disk=_disk,
    work=problems_behind,
    summary="igsm_pipeline.reports.stage_tables:generations",
    plots="igsm_pipeline.reports.stage_plots:generations",
    torch=True,
)
