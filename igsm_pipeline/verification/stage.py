"""The stage ``verdicts`` as declared."""

from __future__ import annotations

from igsm_pipeline.costs import problems_behind
from igsm_pipeline.stage import Check, Column, Read, Stage, Table, derived
from igsm_pipeline.verification.settings import VerdictSettings

VERDICTS = Table(
    "verdicts",
    "one row per solution that a model wrote, with its verdict",
    "verdicts.parquet",
    (
        derived("slice", "VARCHAR", "evaluation slice (op<=max, op=max, ..., reask, by_op)", "u.labels->>'slice'"),
        derived("beams", "INTEGER", "beams of the search; 1 is greedy, or drawn (evaluation.temperature)", "u.labels->>'beams'"),
        Column("problem", "int32", "row of the problem in its set, from 0"),
        Column("op", "int16", "operations of the problem"),
        Column("num_necessary", "int16", "necessary parameters of the problem", shown=False),
        Column("template_bin", "int16", "template hash of the problem mod 23", shown=False),
        Column("correct", "bool", "every step is right, and so is the answer"),
        Column("error", "string", "first error; null if correct"),
        Column("sentence", "int32", "index of the sentence with the first error, from 0"),
        Column("parameter", "string", "name of the parameter of that sentence"),
        Column("final_answer_correct", "bool", "the answer is right, whatever the steps"),
        Column("unnecessary_parameters", "int32", "parameters that were defined without need"),
        Column("unnecessary_operations", "int32", "steps beyond the shortest solution"),
        Column("finished", "bool", "whether the model wrote the end of text"),
        Column("completion_tokens", "int32", "tokens written"),
    ),
)

RETRIES = Table(
    "retries",
    "how often does a model take back what it named? One row per solution of a model that can (tokens.back)",
    "retries*.parquet",
    (
        *VERDICTS.columns[:4],
        Column("correct", "bool", "what remains of the solution is right in every step, and so is the answer"),
        Column("retries", "int32", "parameters that were named and taken back"),
    ),
)

STAGE = Stage(
    name="verdicts",
    version=1,
    settings=VerdictSettings,
    write="igsm_pipeline.verification.write:write_verdicts",
    group="model",
    kinds=("python", "parquet"),
    words="Every step of every solution is verified: correct or the first error, and how much of it was unnecessary (figures 3 and 4).",
    reads=(Read("world"), Read("problems", "problem_sets"), Read("generations")),
    tables=(VERDICTS, RETRIES),
    checks=(
        Check("one_per_completion", "Each completion has one consistent verdict.", "igsm_pipeline.verification.checks:one_per_completion"),
        Check("texts_agree", "Verdicts from token ids are those from the texts.", "igsm_pipeline.verification.checks:texts_agree"),
    ),
    disk=lambda unit: 32.0 * problems_behind(unit),
    work=lambda unit: 2e-4 * problems_behind(unit),
    summary="igsm_pipeline.reports.stage_tables:verdicts",
    plots="igsm_pipeline.reports.stage_plots:verdicts",
    parallel=True,
    yields=True,
)
