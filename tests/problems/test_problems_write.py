"""The summary of a problem set is that of its whole records, though it is made from a few of their columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from igsm_pipeline.problems import FamilySettings, ProblemSetSettings
from igsm_pipeline.problems import write as stage
from igsm_pipeline.problems.files import read_records
from igsm_pipeline.problems.record import RECORD
from igsm_pipeline.problems.write import summarise, write_problem_set
from igsm_pipeline.store import Writing
from igsm_pipeline.world.settings import WorldSettings
from igsm_pipeline.world.write import write_world


def test_a_summary_of_the_columns_that_it_needs_is_that_of_the_whole_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, read_table = [], stage.pq.read_table

    def note(path: Path, **how: Any) -> Any:
        read.append(how.get("columns") or RECORD.names)
        return read_table(path, **how)

    monkeypatch.setattr(stage, "BLOCKS_PER_FILE", 1)
    monkeypatch.setattr(stage.pq, "read_table", note)
    (tmp_path / "world").mkdir()
    write_world(WorldSettings(source="mini"), {}, Writing(tmp_path / "world", False))
    family = FamilySettings(op_max=6, ip_max=8, op_law="uniform")
    write_problem_set(
        ProblemSetSettings(family=family, num_problems=150, block_size=64, seed=3), {"world": tmp_path / "world"}, Writing(tmp_path, False)
    )
    assert len(read) == 3
    assert all(len(columns) < len(RECORD.names) / 2 for columns in read)
    assert json.loads((tmp_path / "summary.json").read_text()) == summarise(iter([read_records(tmp_path)]))
