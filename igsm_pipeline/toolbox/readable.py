"""``igsm export --readable``: problem sets with their texts beside the coded arrays, as Parquet files that any program reads.

    FOLDER/SET/problems-00000.parquet   columns problem, question, solution, answer, query, necessary; then all columns of the store's file

Ours: the whole of it. The store keeps arrays alone, which are five times smaller; texts follow from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from igsm_pipeline.errors import NotFound
from igsm_pipeline.problems.files import from_table, problem_files, write_parquet
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.problems.stage import STAGE as PROBLEM_SETS
from igsm_pipeline.store import Store, Unit, new_folder
from igsm_pipeline.text import render_answer, render_problem, render_question, render_solution
from igsm_pipeline.world import load_world


def export_readable(store: Store, units: Iterable[Unit], folder: Path) -> int:
    """Write the finished problem sets among some units into a new folder.

    Args:
        store: the store.
        units: of members; those of other stages are left out.
        folder: a folder that does not exist yet, or is empty.

    Returns:
        The number of problems.

    Raises:
        BadSettings: the folder holds something.
        NotFound: no problem set is finished.
    """
    sets = [unit for unit in dict.fromkeys(units) if unit.stage == PROBLEM_SETS.name and not store.check_own(unit)]
    if not sets:
        raise NotFound("no finished problem set to export: make them with `igsm run MEMBER --stage problem_sets`")
    with new_folder(folder, "--readable") as partial:
        return sum(_write_set(store, unit, partial) for unit in sets)


def _write_set(store: Store, unit: Unit, folder: Path) -> int:
    """Write one problem set into a folder of its own; returns the number of problems."""
    place = folder / re.sub(r"[^A-Za-z0-9_.=+-]+", "-", unit.name)
    if place.exists():  # another member's set of that name
        place = place.with_name(f"{place.name}-{unit.fingerprint}")
    place.mkdir()
    world, modulus = load_world(store.path(unit.inputs["world"])), int(unit.settings["family"]["modulus"])
    total = 0
    for path in problem_files(store.path(unit)):
        coded = pq.read_table(path)
        write_parquet(with_texts(coded, ProblemBatch(from_table(coded), world, modulus)), place / path.name)
        total += len(coded)
    return total


def with_texts(coded: pa.Table, batch: ProblemBatch) -> pa.Table:
    """A table of coded problems with text columns in front.

    Args:
        coded: the columns of a file of the store.
        batch: the same problems.
    """
    problems = list(batch)
    texts: dict[str, list[object]] = {
        "problem": [render_problem(one) for one in problems],
        "question": [render_question(one) for one in problems],
        "solution": [render_solution(one) for one in problems],
        "answer": [render_answer(one) for one in problems],
        "query": [one.name(one.query) for one in problems],
        "necessary": [[one.name(parameter) for parameter in one.order] for one in problems],
    }
    return pa.table({**texts, **{name: coded[name] for name in coded.column_names}})
