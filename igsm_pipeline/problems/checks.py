"""What must hold of problem sets: ops by the law, well mixed, splits apart, nothing twice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from igsm_pipeline.problems import read_problems
from igsm_pipeline.problems.describe.op_law import chi_square, longest_likely_run, longest_run, op_law
from igsm_pipeline.problems.describe.statistics import problem_keys
from igsm_pipeline.problems.files import from_table
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.problems.settings import OWN
from igsm_pipeline.stage import Outcome, StageUnits
from igsm_pipeline.store import Unit
from igsm_pipeline.world import load_world

LEAST_P = 1e-9
"""Ours: a chi-square test fails below this; a big data set has thousands of files, and none may stop a run by chance."""
_Z_LIMIT = 6.0
_REPEATS_LOOKED_AT = 65_536


def op_histogram(run: StageUnits) -> Outcome:
    """Every file of every problem set has the ops that its settings ask for, by a chi-square test where they are drawn."""
    wrong, least = [], 1.0
    for unit, path in table_files(run):
        counts = Counter(table_column(path, "op").tolist())
        p, faults = own_op_faults(unit.settings, counts) if OWN in unit.inputs else op_faults(unit.settings, counts)
        least = min(least, p)
        wrong += [f"{unit.name} {path.name}: {fault}" for fault in faults]
    return Outcome(not wrong, "; ".join(wrong) or f"{len(run.tables())} files have the ops of their law", {"least p of chi-square": least})


def op_faults(settings: Mapping[str, Any], counts: Mapping[int, int]) -> tuple[float, list[str]]:
    """The p of a set's ops under its law (1 where nothing is drawn), and what is wrong with them."""
    law, op_max = settings["law"], settings["family"]["op_max"]
    if not sum(counts.values()):
        return 0.0, ["no problem"]
    if settings["reask"]:
        return 1.0, []
    if law == "exact":
        return 1.0, [] if set(counts) == {settings["op"]} else [f"ops must all be {settings['op']}, found {sorted(counts)}"]
    if max(counts) > op_max or min(counts) < 1:
        return 0.0, [f"ops must be 1 to {op_max}, found {min(counts)} to {max(counts)}"]
    shares = op_law(settings["family"]["op_law"], op_max, balanced=settings["balanced"])
    if settings["split"] == "test":  # the test bins of a small family may hold no problem of some op, which is then redrawn
        shares = {op: share for op, share in shares.items() if counts.get(op)}
        shares = {op: share / sum(shares.values()) for op, share in shares.items()}
    test = chi_square(counts, shares)
    if test.p >= LEAST_P:
        return test.p, []
    worst = max(shares, key=lambda op: abs(counts.get(op, 0) - sum(counts.values()) * shares[op]))
    expected = sum(counts.values()) * shares[worst]
    return test.p, [f"ops are not those of the law (p {test.p:.1e}): op {worst} must be about {expected:.0f} problems, found {counts.get(worst, 0)}"]


def own_op_faults(settings: Mapping[str, Any], counts: Mapping[int, int]) -> tuple[float, list[str]]:
    """The same for a set that is taken from a file: how often each op comes is the file's business, which ops there are is not."""
    if settings["law"] == "exact" or settings["reask"] or not sum(counts.values()):
        return op_faults(settings, counts)
    op_max = settings["family"]["op_max"]
    return 1.0, [] if max(counts) <= op_max and min(counts) >= 1 else [f"ops must be 1 to {op_max}, found {min(counts)} to {max(counts)}"]


def ops_mixed(run: StageUnits) -> Outcome:
    """Neighbours of range sets have independent ops: as many equal ones as the law says, and no run longer than chance allows."""
    wrong, longest = [], 0
    for unit, path in table_files(run):
        ops = table_column(path, "op")
        if unit.settings["law"] == "exact" or unit.settings["reask"] or len(ops) < 2:
            continue
        found = {op: number / len(ops) for op, number in Counter(ops.tolist()).items()}
        longest = max(longest, longest_run(ops))
        if longest_run(ops) >= longest_likely_run(found, len(ops)):
            wrong.append(f"{unit.name} {path.name}: {longest_run(ops)} problems of one op in a row")
        share, equal = sum(value**2 for value in found.values()), float(np.mean(ops[1:] == ops[:-1]))
        error = math.sqrt(share * (1 - share) / (len(ops) - 1))
        if not unit.settings["balanced"] and abs(equal - share) > _Z_LIMIT * error + 1e-12:
            wrong.append(f"{unit.name} {path.name}: {equal:.3f} of neighbours have equal ops, must be about {share:.3f}")
    return Outcome(not wrong, "; ".join(wrong) or f"ops are mixed; the longest run of one op has {longest} problems", {"longest run": longest})


def split_disjoint(run: StageUnits) -> Outcome:
    """No hash bin of a training set occurs in a test set (reask stands outside: its problems are not hashed again)."""
    bins: dict[str, set[int]] = {"train": set(), "test": set()}
    for unit, path in table_files(run):
        if unit.settings["split"] in bins and not unit.settings["reask"]:
            bins[unit.settings["split"]] |= set(table_column(path, "split_bin").tolist())
    shared = bins["train"] & bins["test"]
    seen = {f"{split} bins": str(sorted(found)) for split, found in bins.items()}
    return Outcome(not shared, f"bins in both splits: {sorted(shared)}" if shared else "no bin is in both splits", seen)


def no_repeats(run: StageUnits) -> Outcome:
    """No two rows of a set have one key (block, draw); how many problems repeat an earlier one's statements and question is shown."""
    wrong = []
    for unit in run.units:
        keys = np.concatenate([table_column(path, "block").astype(np.int64) << 32 | table_column(path, "draw") for path in _problem_files(run, unit)])
        if len(np.unique(keys)) < len(keys):
            wrong.append(f"{unit.name}: {len(keys) - len(np.unique(keys))} rows have the key of another")
    shares = {name: round(repeats / max(number, 1), 6) for name, (repeats, number) in repeats_by_set(run).items()}
    return Outcome(not wrong, "; ".join(wrong) or "no key is there twice", {"share that repeats an earlier problem": shares})


def repeats_by_set(run: StageUnits) -> dict[str, tuple[int, int]]:
    """Problem set -> how many of the problems of its first file (at most ``_REPEATS_LOOKED_AT``) repeat an earlier one, and how many these are."""
    found = {}
    for unit in run.units:
        world = load_world(run.store.path(unit.inputs["world"]))
        records = from_table(pq.read_table(_problem_files(run, unit)[0]).slice(0, _REPEATS_LOOKED_AT))
        contents = problem_keys(ProblemBatch(records, world, unit.settings["family"]["modulus"]))
        found[unit.name] = len(contents) - len(np.unique(contents)), len(contents)
    return found


def _problem_files(run: StageUnits, unit: Unit) -> list[Path]:
    return sorted(run.store.path(unit).glob("problems-*.parquet"))


def problems_of(run: StageUnits, unit: Unit, modulus: int) -> ProblemBatch:
    """The problems that a unit reads, or those that it is, with their world's names."""
    world = load_world(run.store.path(unit.inputs["world"]))
    return read_problems(run.store.path(unit.inputs.get("problems", unit)), world, modulus)


def table_files(run: StageUnits) -> Iterator[tuple[Unit, Path]]:
    """Every Parquet file of every unit."""
    for unit in run.units:
        for path in sorted(run.store.path(unit).glob("*.parquet")):
            yield unit, path


def table_column(path: Path, name: str) -> NDArray[Any]:
    """One column of one file."""
    found: NDArray[Any] = pq.read_table(path, columns=[name])[name].to_numpy()
    return found
