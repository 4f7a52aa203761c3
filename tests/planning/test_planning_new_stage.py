"""The worked example of docs/extending.md, "A new stage", carried out in a copy of the package."""

from __future__ import annotations

import json
from pathlib import Path

from reference.few_problems import few_problems, write_few
from reference.worked_examples import copy_with, run_in

LOOK = """
import json
from igsm_pipeline.catalog import catalog
from igsm_pipeline.catalog.views import file_tables, view_columns
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.planning.estimates import estimate
from igsm_pipeline.planning.planner import plan
from igsm_pipeline.store import Store
from igsm_pipeline.toolbox.console import plan_table

import pyarrow.parquet as pq

store = Store.at_home()
units = [unit for unit in units_of(find_member("few")) if unit.stage == "problem_sizes"]
made = pq.read_table(store.path(units[0]) / "sizes.parquet")
tables = {table.name: [column.name for column in view_columns(table)] for _, table in file_tables()}
print(json.dumps({
    "stages": list(STAGES)[:4], "names": sorted(unit.name for unit in units), "rows": made.to_pylist(),
    "columns": tables["problem_sizes"], "bytes": estimate(units, store).bytes,
    "stale": [unit.stage for unit in plan(find_member("few"), store, ["problem_sets", "problem_sizes"]).stale],
    "reads": sorted({f"{role} {unit.stage}" for unit in units for role, unit in unit.inputs.items()}),
}))
"""


def test_a_new_stage_takes_four_files_and_is_planned_run_judged_and_has_its_table(tmp_path: Path) -> None:
    files = copy_with(tmp_path, "A new stage")
    assert len(set(files)) == 4
    write_few(tmp_path / "home", few_problems(8))
    stages = ("world", "problem_sets", "problem_sizes")
    run_in(tmp_path, "-m", "igsm_pipeline.running", "run", "few", *(word for stage in stages for word in ("--stage", stage)))
    found = json.loads(run_in(tmp_path, "-c", LOOK))
    assert found["stages"] == ["world", "own_problems", "problem_sets", "problem_sizes"]
    assert {"train", "op<=max", "probe_train"} <= set(found["names"])
    assert sum(row["problems"] for row in found["rows"]) == 8
    assert all(row["statements"] >= 1 for row in found["rows"])
    assert found["columns"] == ["experiment", "set", "op", "problems", "statements"]
    assert (found["bytes"] > 0, found["stale"], found["reads"]) == (True, [], ["problems problem_sets"])
    (kept,) = (tmp_path / "home" / ".checks").glob("problem_sizes-every_op_counted-*.json")
    assert json.loads(kept.read_text())["passed"]
