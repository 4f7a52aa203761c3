"""The staleness table: whatever happens to a finished member, every route gives the same answer and a run computes what it must and no more.

The page docs/staleness.md is this test's output: ``IGSM_WRITE_DOCS=1 pytest -m slow tests/defs/test_defs_staleness.py`` writes it, and without the
variable the test fails when the page says something else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from reference.staleness_events import EVENTS, SILENT, declare

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "staleness.md"
HEAD = """# What is computed again, and who says so

Written by `tests/defs/test_defs_staleness.py`, which lets each event happen to a finished member of every stage, asks each route, and then runs it.

- **stale**: stages that `igsm status`, the schedule `nightly_refresh` and the sensor `stale_members` name; the test fails where one differs.
- in brackets: stages that only wait for those before them. Rebuilt with equal content, these leave them fresh, and nothing is computed.
- **computed**: stages of which `igsm run` (through Dagster) and `python -m igsm_pipeline.running run` (the library alone) wrote a unit; the test
  fails where the two differ.

| event | stale | computed |
|---|---|---|
"""
TAIL = """
The last event is hidden from everyday checks, which look at size and time (and hash where the time differs); `igsm status --deep` hashes every file
and `igsm run --deep` repairs what it finds. A file of an experiment is read anew by every route, so none has to be told of an edit; the sensor
`experiment_files` reloads the code location, so that a new file's members become partitions.
"""


@pytest.mark.slow
def test_every_route_names_and_computes_the_same(tmp_path):
    home = tmp_path / "home"
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    environment = {**os.environ, "PYTHONPATH": paths, "IGSM_HOME": str(home)}
    environment.pop("IGSM_EXPERIMENTS", None)
    declare(home)
    command = [sys.executable, "-m", "reference.staleness_routes"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [row["event"] for row in rows] == [event.name for event in (*EVENTS, SILENT)]
    for row, event in zip(rows, (*EVENTS, SILENT), strict=True):
        assert set(row["status"]) == event.seen, event.name
        assert row["run"] == list(event.stale), event.name
        if event is not SILENT:
            assert row["schedule"] == row["sensor"] == row["status"], event.name
            assert row["library"] == row["run"], event.name
    page = HEAD + "".join(map(line_of, rows)) + TAIL
    if os.environ.get("IGSM_WRITE_DOCS"):
        PAGE.write_text(page)
    assert PAGE.read_text() == page


def line_of(row) -> str:
    """A line of the page, as it was seen: what the routes named and the run computed; in brackets, what they named and it did not compute."""
    computed = ", ".join(row["run"]) or "-"
    waiting = ", ".join(stage for stage in row["status"] if stage not in row["run"])
    note = " (with `--deep`)" if row["event"] == SILENT.name else ""
    return f"| {row['event']}{note} | {computed}{f' ({waiting})' if waiting else ''} | {computed} |\n"
