"""The stage ``verdicts``: every generation of one slice, verified from its text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from igsm_pipeline.problems import read_problems
from igsm_pipeline.store import Writing
from igsm_pipeline.verification.settings import VerdictSettings
from igsm_pipeline.verification.verifier import verify
from igsm_pipeline.world import load_world
from igsm_pipeline.world.stage import WORLD_FILE

STAGE = "verdicts"
VERSION = 1
VERDICTS = "verdicts.parquet"
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
    """Write verdicts.parquet, one row per generation; see ``Verdict`` for the columns.

    Args:
        settings: the modulus, strict or not.
        inputs: ``world``, ``problems``, ``generations``.
        writing: where the file goes.
    """
    batch = read_problems(inputs["problems"], load_world(inputs["world"] / WORLD_FILE), settings.modulus)
    columns = ["problem", "tokens", "finished", "solution", "answer"]
    rows = []
    for made in tqdm(pq.read_table(inputs["generations"] / "generations.parquet", columns=columns).to_pylist(), desc="verdicts", unit="solution"):
        record, finished = batch.records[made["problem"]], made["finished"]
        # without an answer marker the final answer is the solution's own last number, and an ended text counts as it stands
        verdict = verify(batch[made["problem"]], made["solution"], made["answer"], settings.strict, finished=finished)
        rows.append(
            {
                "problem": made["problem"],
                "op": int(record["op"]),
                "num_necessary": int(record["num_necessary"]),
                "template_bin": int(record["template_bin"]),
                "correct": verdict.correct,
                "error": None if verdict.error is None else str(verdict.error),
                "sentence": verdict.sentence,
                "parameter": verdict.parameter,
                "final_answer_correct": verdict.final_answer_correct,
                "unnecessary_parameters": verdict.unnecessary_parameters,
                "unnecessary_operations": verdict.unnecessary_operations,
                "finished": finished,
                "completion_tokens": len(made["tokens"]),
            }
        )
    temporary = writing.folder / (VERDICTS + ".tmp")
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), temporary, compression="zstd")
    temporary.replace(writing.folder / VERDICTS)
    writing.counts.update(solutions=len(rows), correct=sum(row["correct"] for row in rows))
