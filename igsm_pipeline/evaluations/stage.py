"""The stage ``llm_evaluations`` as declared."""

from __future__ import annotations

from igsm_pipeline.evaluations.settings import LogSettings
from igsm_pipeline.stage import Check, Column, Stage, Table, with_interval

_ASKED = (
    Column("model", "string", "the model, as Inspect names it"),
    Column("style", "string", "answer: the final answer alone; steps: the solution, then the answer"),
    Column("shots", "int16", "worked examples before the question"),
    Column("modulus", "int32", "arithmetic is modulo this"),
    Column("format", "string", "pq: problem then question; qp: question then problem"),
)
ANSWERS = Table(
    "llm_answers",
    "one row per question that a model was asked through Inspect",
    "answers.parquet",
    (
        Column("run", "string", "Inspect's name of the run"),
        *_ASKED,
        Column("seed", "int64", "of the problems and examples"),
        Column("question", "int32", "number of the question in its run, from 0"),
        Column("op", "int16", "operations of the problem"),
        Column("right_answer", "bool", "the reply's last number is the answer, whatever its steps"),
        Column("fully_correct", "bool", "every step holds and the answer is right; null where the style asks for no steps"),
        Column("first_error", "string", "the first error; null where there is none, or no steps were asked for"),
        Column("unnecessary_parameters", "int32", "parameters defined rightly and without need (appendix G); null without steps"),
    ),
)
BY_OP = Table(
    "llm_by_op",
    "figures 2 and 15: one row per model, style, shots, modulus, format, measure and number of operations (op null: all of them)",
    "by_op.parquet",
    (
        *_ASKED,
        Column("measure", "string", "right_answer, or fully_correct where steps were asked for"),
        Column("op", "int16", "operations of the problems; null: all"),
        Column("n", "int64", "questions"),
        *with_interval("share", "share of them that hold"),
    ),
    result=True,
)

STAGE = Stage(
    name="llm_evaluations",
    version=2,
    settings=LogSettings,
    write="igsm_pipeline.evaluations.write:write_evaluations",
    group="result",
    kinds=("python", "parquet"),
    words="How other people's models solve iGSM, from the logs of `inspect eval igsm_pipeline/igsm` (figures 2 and 15).",
    tables=(ANSWERS, BY_OP),
    checks=(
        Check("every_answer_counted", "Each answer counts once, under its number of operations.", "igsm_pipeline.evaluations.checks:every_answer"),
        Check(
            "correct_ones_are_right",
            "A fully correct solution ends in the right answer and has no first error.",
            "igsm_pipeline.evaluations.checks:correct_ones",
        ),
    ),
    disk=lambda unit: 1e6,
    work=lambda unit: 5.0,
)
