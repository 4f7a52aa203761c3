"""The check of the error correlation passes on tables that agree, and sees counts and rates that cannot be."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from igsm_pipeline.correlation.checks import counts_agree
from igsm_pipeline.correlation.stage import CORRELATION, EVENTS


def row(figure: str, task: str, part: str, n: int, solutions: int, **more: Any) -> dict[str, Any]:
    counts = {"figure": figure, "task": task, "slice": part, "n": n, "solutions": solutions, "num_problems": min(n, 2), "rate": 0.5}
    return {**dict.fromkeys(CORRELATION.schema().names), **counts, **more}


ROWS = {
    "a": row("a", "nece", "reask", 3, 2),
    "b": row("b", "can_next", "reask", 2, 2),
    "a of all": row("a", "nece", "all", 3, 2),
    "b of all": row("b", "can_next", "all", 2, 3),
}


def run(folder: Path, **changes: dict[str, Any]) -> Any:
    """The stage of two slices, of which one has two wrong solutions and one has one, with some rows of the correlation changed."""
    names = ("correlation", "reask", "op")
    folders = {name: folder / name for name in names}
    for one in folders.values():
        one.mkdir(exist_ok=True)
    rows = [{**one, **changes.get(name, {})} for name, one in ROWS.items()]
    pq.write_table(pa.Table.from_pylist(rows, schema=CORRELATION.schema()), folders["correlation"] / "correlation.parquet")
    events = [("a", "nece")] * 3 + [("b", "can_next")] * 2
    listed = [{**dict.fromkeys(EVENTS.schema().names), "figure": figure, "task": task, "slice": "reask"} for figure, task in events]
    pq.write_table(pa.Table.from_pylist(listed, schema=EVENTS.schema()), folders["correlation"] / "events.parquet")
    for part, correct in (("reask", [True, False, False]), ("op", [False, True])):
        pq.write_table(pa.table({"correct": correct}), folders[part] / "verdicts.parquet")
    inputs = {f"verdicts:{part}": SimpleNamespace(name=part) for part in ("reask", "op")}
    unit = SimpleNamespace(name="correlation", inputs=inputs)
    return SimpleNamespace(units=(unit,), store=SimpleNamespace(path=lambda one: folders[one.name]))


def test_tables_that_agree_pass(tmp_path: Path) -> None:
    outcome = counts_agree(run(tmp_path))
    assert outcome.passed, outcome.message
    assert outcome.metadata == {"rows": 4}


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("a", {"n": 4}, "a nece reask: 4 events, but events.parquet lists 3"),
        ("b of all", {"n": 1, "num_problems": 1}, "b can_next all: 1 events, but events.parquet lists 2"),
        ("b", {"solutions": 3}, "b can_next reask: 3 wrong solutions, but the verdicts have 2"),
        ("b of all", {"solutions": 2}, "b can_next all: 2 wrong solutions, but the verdicts have 3"),
        ("a", {"num_problems": 3}, "a nece reask: events in 3 of 2 solutions"),
        ("b", {"rate": 1.5}, "b can_next reask: rate is 1.5"),
        ("a", {"baseline_low": float("nan")}, "a nece reask: baseline_low is nan"),
    ],
)
def test_counts_and_rates_that_cannot_be_fail(tmp_path: Path, name: str, change: dict[str, Any], told: str) -> None:
    outcome = counts_agree(run(tmp_path, **{name: change}))
    assert (outcome.passed, outcome.message) == (False, told)
