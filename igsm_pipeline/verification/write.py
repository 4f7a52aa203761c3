"""The stage ``verdicts``: it verifies every completion of a problem set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from igsm_pipeline.errors import BadProblem
from igsm_pipeline.problems import read_problems
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import build_table
from igsm_pipeline.verification.settings import VerdictSettings
from igsm_pipeline.verification.stage import RETRIES, VERDICTS
from igsm_pipeline.verification.token_path import TokenVerdicts, TokenVerifier
from igsm_pipeline.verification.verdict import Error
from igsm_pipeline.world import load_world

CHUNK = 4096
"""Completions per step of the progress bar."""

SCHEMA = VERDICTS.schema()


def write_verdicts(settings: VerdictSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write ``verdicts.parquet``: one row per row of the generations, in their order; with ``tokens.back`` also ``retries.parquet``, likewise.

    A completion without an answer counts as truncated, whether or not the model ended it.

    Args:
        settings: the modulus, and the tokens that completions are made of.
        inputs: folders: ``world``, ``problems``, ``generations``.
        writing: where the file goes.

    Raises:
        BadProblem: a generation is of a problem that the set does not have.
    """
    world = load_world(inputs["world"])
    problems = read_problems(inputs["problems"], world, settings.modulus)
    generations = pq.read_table(inputs["generations"] / "generations.parquet", columns=["problem", "tokens", "finished", "solution", "answer"])
    rows = generations["problem"].to_numpy().astype(np.int64)
    for number in rows[(rows < 0) | (rows >= len(problems))].tolist():
        raise BadProblem("generations: problem", f"must be a row of the problem set (below {len(problems)})", number, "generate again")
    tokens, finished = generations["tokens"].combine_chunks(), generations["finished"].to_numpy()
    ids, offsets = tokens.values.to_numpy().astype(np.uint32), tokens.offsets.to_numpy().astype(np.int64)
    known = settings.tokens.segmentation != "checkpoint"
    verifier = TokenVerifier(problems, build_table(world, settings.modulus, settings.tokens) if known else None)
    solutions, answers = generations["solution"], generations["answer"]
    with tqdm(total=len(rows), desc="verdicts", unit="solution") as bar:
        found: list[pa.Table] = []
        retries = [np.zeros(0, np.int64)]
        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            text = partial(_text_of, solutions.slice(start, CHUNK), answers.slice(start, CHUNK))
            own = offsets[start : start + CHUNK + 1]
            verdicts = verifier.judge(ids[own[0] : own[-1]], own - own[0], finished[part], rows[part], text)
            found.append(verdict_table(verdicts))
            retries.append(verdicts.retries)
            bar.update(found[-1].num_rows)
    records = problems.records[rows]
    facts = {name: pa.array(records[name].astype(np.int16)) for name in ("op", "num_necessary", "template_bin")}
    own = {"problem": pa.array(rows), "finished": pa.array(finished), "completion_tokens": pa.array(np.diff(offsets)), **facts}
    judged = pa.concat_tables(found) if found else SCHEMA.empty_table()
    table = pa.table({**{name: judged[name] for name in judged.column_names}, **own}).select(SCHEMA.names).cast(SCHEMA)
    write_parquet(table, writing.folder / "verdicts.parquet")
    if settings.tokens.back:
        taken_back = table.select(["problem", "op", "correct"]).append_column("retries", pa.array(np.concatenate(retries)))
        write_parquet(taken_back.cast(RETRIES.schema()), writing.folder / "retries.parquet")
        writing.counts["retries"] = int(np.concatenate(retries).sum())
    ambiguous = sum(verifier.problem(row)[1] for row in rows.tolist()) if world.lenient else 0
    errors = Counter(error for error in table["error"].to_pylist() if error is not None)
    writing.counts.update(solutions=len(rows), correct=len(rows) - errors.total(), ambiguous_problems=ambiguous)
    writing.counts.update({f"error_{kind}": count for kind, count in sorted(errors.items())})


def _text_of(solutions: pa.ChunkedArray, answers: pa.ChunkedArray, index: int) -> tuple[str, str | None]:
    return solutions[index].as_py(), answers[index].as_py()


def verdict_table(verdicts: TokenVerdicts) -> pa.Table:
    """The fields of verdicts as columns, named as in ``Verdict``; error, sentence and parameter are null if there is no error."""
    wrong = ~verdicts.correct
    kinds = pa.array([*Error], pa.string())
    return pa.table(
        {
            "correct": pa.array(verdicts.correct),
            "error": kinds.take(pa.array(verdicts.error.astype(np.int32), mask=~wrong)),
            "sentence": pa.array(verdicts.sentence, mask=~wrong),
            "parameter": pa.array(verdicts.parameter, pa.string()),
            "final_answer_correct": pa.array(verdicts.final_answer_correct),
            "unnecessary_parameters": pa.array(verdicts.unnecessary_parameters),
            "unnecessary_operations": pa.array(verdicts.unnecessary_operations),
        }
    )
