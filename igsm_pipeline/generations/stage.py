"""The stage ``generations`` as declared."""

from __future__ import annotations

from igsm_pipeline.costs import (
    DECODED_TOGETHER,
    DECODING,
    DECODING_BYTES,
    document_tokens,
    mean_op,
    network_behind,
    problems_behind,
    solution_share,
    tokens_per_problem,
)
from igsm_pipeline.generations.settings import GenerationSettings
from igsm_pipeline.stage import Check, Column, Read, Stage, Table, derived
from igsm_pipeline.store import Unit

SLICE = derived("slice", "VARCHAR", "evaluation slice (op<=max, op=max, ..., reask, by_op)", "u.labels->>'slice'")
BEAMS = derived("beams", "INTEGER", "beams of the search; 1 is greedy, or drawn (evaluation.temperature)", "u.labels->>'beams'")
PROBLEM = Column("problem", "int32", "row of the problem in its set, from 0")


def _disk(unit: Unit) -> float:
    return 3 * min(float(unit.settings["max_tokens"]), tokens_per_problem(unit.settings)) * problems_behind(unit)


SMALL_GROUPS = 4
"""How many times slower a token is in a group of a few prompts."""


def _document(unit: Unit) -> float:
    """Tokens of an average document of the slice, at most ``max_tokens``."""
    (op,) = (mean_op(one.settings) for one in unit.inputs.values() if one.stage == "problem_sets")
    return min(float(unit.settings["max_tokens"]), document_tokens(unit.settings["tokens"], op))


def _work(unit: Unit) -> float:
    """Operations for every token of the solutions; a token of a prompt costs a tenth. Beams on prompts of one length decode in small groups."""
    document, share, beam = _document(unit), solution_share(unit.settings["tokens"]), int(unit.settings["beam"])
    slower = SMALL_GROUPS if beam > 1 and unit.settings["grouping"] == "equal" else 1
    written = document * (share * slower * beam + (1 - share) / 10)
    return problems_behind(unit) * written * network_behind(unit).forward(document, head=True)


def _memory(unit: Unit) -> float:
    """Bytes of the weights, and of keys and values in fp32, at one and a half times the average document's length, of all rows or those that fit."""
    network, rows = network_behind(unit), min(problems_behind(unit), DECODED_TOGETHER)
    return network.bytes + min(8.0 * rows * 1.5 * _document(unit) * network.layers * network.width, DECODING_BYTES)


GENERATIONS = Table(
    "generations",
    "one row per solution that a model wrote",
    "generations.parquet",
    (
        SLICE,
        BEAMS,
        PROBLEM,
        Column("prompt_tokens", "int32", "tokens of the prompt"),
        Column("tokens", "", "ids after the prompt, including the end of text if it was written", shown=False),
        derived("completion_tokens", "INTEGER", "tokens written", "len(tokens)"),
        Column("finished", "bool", "whether the model wrote the end of text"),
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
    work=_work,
    arithmetic=DECODING,
    memory=_memory,
    summary="igsm_pipeline.reports.stage_tables:generations",
    plots="igsm_pipeline.reports.stage_plots:generations",
    torch=True,
)
