"""The stage ``generations``: a checkpoint writes solutions for one problem set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from igsm_pipeline.generations.settings import GenerationSettings
from igsm_pipeline.model.beams import complete_with_beams
from igsm_pipeline.model.decoding import Completions, complete
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.gpt2_rotary import fuse_activations, load
from igsm_pipeline.problems import read_problems
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import TokenTable, build_table, emit
from igsm_pipeline.world import load_world

GENERATIONS = "generations.parquet"


def write_generations(settings: GenerationSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write generations.parquet, one row per problem.

    Columns: problem (row of the problem set), prompt_tokens, tokens (ids after the prompt, including the end of text if it was written), finished (it
    was written), solution (text before the answer marker), answer (text after it, null without one), text (both).

    Args:
        settings: how to complete.
        inputs: folders: ``world``, ``problems``, ``checkpoint``.
        writing: where the file goes.
    """
    world = load_world(inputs["world"])
    batch = read_problems(inputs["problems"], world, settings.family.modulus)
    table = build_table(world, settings.family.modulus, settings.tokens, inputs["checkpoint"])
    emitted = emit(batch, table, settings.family.format)
    prompts = [emitted.prompt(index) for index in range(len(emitted))]
    model = load(inputs["checkpoint"], device=pick_device(settings.device))
    fuse_activations(model)
    with tqdm(total=len(prompts), desc="generations", unit="problem", mininterval=1.0) as bar:
        if settings.beam == 1:
            limit = settings.max_tokens
            drawn: dict[str, Any] = {"temperature": settings.temperature, "seed": settings.seed}
            made = complete(
                model, prompts, max_tokens=limit, max_length=limit, eos=table.eos, batch_size=settings.batch_size, progress=bar.update, **drawn
            )
        else:
            made = complete_with_beams(
                model,
                prompts,
                beams=settings.beam,
                max_length=settings.max_tokens,
                eos=table.eos,
                seed=settings.seed,
                mixed_lengths=settings.grouping == "similar",
                progress=bar.update,
            )
    rows = generations_table(made, np.array([len(prompt) for prompt in prompts]), table)
    write_parquet(rows, writing.folder / GENERATIONS)
    writing.counts.update(problems=len(rows), tokens=int(sum(len(ids) for ids in made.tokens)), finished=int(made.finished.sum()))


def generations_table(made: Completions, prompt_tokens: NDArray[np.integer], table: TokenTable) -> pa.Table:
    """Make the rows of generations.parquet."""
    parts = [table.decode_completion(tokens) for tokens in made.tokens]
    return pa.table(
        {
            "problem": pa.array(np.arange(len(parts), dtype=np.int32)),
            "prompt_tokens": pa.array(prompt_tokens.astype(np.int32)),
            "tokens": pa.array([tokens.tolist() for tokens in made.tokens], pa.list_(pa.uint32())),
            "finished": pa.array(made.finished),
            "solution": pa.array([solution for solution, _ in parts], pa.string()),
            "answer": pa.array([answer for _, answer in parts], pa.string()),
            "text": pa.array([solution + (answer or "") for solution, answer in parts], pa.string()),
        }
    )
