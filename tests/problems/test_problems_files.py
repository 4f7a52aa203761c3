"""A problem set on disk comes back as it was, by its path or the text of it."""

from __future__ import annotations

from pathlib import Path

from igsm_pipeline import generate
from igsm_pipeline.problems.files import read_problems, to_table, write_parquet
from igsm_pipeline.world import load_world


def test_a_problem_set_is_read_by_its_path_or_the_text_of_it(tmp_path: Path) -> None:
    batch = generate(3, world="mini", op=2)
    write_parquet(to_table(batch.records), tmp_path / "problems-0.parquet")
    assert read_problems(str(tmp_path), "mini", 23) == read_problems(tmp_path, load_world("mini"), 23) == batch
