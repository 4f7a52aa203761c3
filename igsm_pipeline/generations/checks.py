"""Checks of generations: every problem has one completion within the limit, and the limit leaves room for a right one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from igsm_pipeline.generations.settings import GenerationSettings
from igsm_pipeline.problems import read_problems
from igsm_pipeline.problems.files import problem_files
from igsm_pipeline.stage import Outcome, StageUnits
from igsm_pipeline.store import Unit
from igsm_pipeline.tokens import build_table, emit
from igsm_pipeline.world import load_world


def one_per_problem(run: StageUnits) -> Outcome:
    """Every problem of a slice has one completion, in the order of the set, and prompt and completion together have at most ``max_tokens`` tokens.

    A prompt that is longer than ``max_tokens`` has an empty completion.
    """
    wrong, completions = [], 0
    for unit in run.units:
        table = pq.read_table(_file(run, unit), columns=["problem", "prompt_tokens", "tokens"])
        problems = sum(pq.read_metadata(path).num_rows for path in problem_files(run.store.path(unit.inputs["problems"])))
        if table["problem"].to_pylist() != list(range(problems)):
            wrong.append(f"{unit.name}: its rows must be the problems 0 to {problems - 1}, each once; got {table.num_rows} other rows")
        written, limit = pc.list_value_length(table["tokens"]).to_numpy(), unit.settings["max_tokens"]
        over = int(((written > 0) & (table["prompt_tokens"].to_numpy() + written > limit)).sum())
        if over:
            wrong.append(f"{unit.name}: {over} completions are longer than evaluation.max_tokens, {limit}")
        completions += table.num_rows
    return Outcome(not wrong, "; ".join(wrong) or f"{completions:,} completions, one per problem", {"completions": completions})


def room_to_answer(run: StageUnits) -> Outcome:
    """No completion was cut off before it was as long as the problem's reference solution; the share of cut completions is shown per slice.

    A completion that is cut off later has written more than it had to. Ours: comparing with the reference solution.
    """
    short, shares = [], {}
    for unit in run.units:
        settings = GenerationSettings.parse({**unit.settings, **unit.runtime}, unit.name)
        table = pq.read_table(_file(run, unit), columns=["problem", "tokens", "finished"])
        cut = ~table["finished"].to_numpy(zero_copy_only=False).astype(bool)
        shares[unit.name] = round(float(cut.mean()), 4) if len(cut) else 0.0
        if not cut.any():
            continue
        world = load_world(run.store.path(unit.inputs["world"]))
        tokens = build_table(world, settings.family.modulus, settings.tokens, run.store.path(unit.inputs["checkpoint"]))
        batch = read_problems(run.store.path(unit.inputs["problems"]), world, settings.family.modulus)
        emitted = emit(batch, tokens, settings.family.format)
        needed = (emitted.lengths - emitted.prompt_ends - 2)[table["problem"].to_numpy()]
        early = int((cut & (pc.list_value_length(table["tokens"]).to_numpy() < needed)).sum())
        if early:
            longest = int((emitted.lengths + 1).max())
            short.append(f"{unit.name}: {early} of {len(cut)} completions had no room for the reference solution; the longest needs {longest} tokens")
    told = f"{np.mean([*shares.values()]):.1%} of completions were cut off, none before its reference solution fitted" if shares else "no completion"
    way_out = "Raise evaluation.max_tokens"
    return Outcome(not short, f"{'; '.join(short)}. {way_out}" if short else told, {"share cut off": shares})


def _file(run: StageUnits, unit: Unit) -> Path:
    return run.store.path(unit) / "generations.parquet"
