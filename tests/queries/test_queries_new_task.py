"""The worked example of docs/extending.md, "A new probe task", carried out in a copy of the package."""

from __future__ import annotations

from pathlib import Path

import pytest
from reference.worked_examples import copy_with, run_in

from igsm_pipeline.queries.tasks import Task

ASK = """
import numpy as np
from igsm_pipeline.player.page import about
from igsm_pipeline.probes.settings import VProbeSettings
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block
from igsm_pipeline.queries.draw import draw_queries, list_queries
from igsm_pipeline.queries.facts import parameter_of_code
from igsm_pipeline.queries.labels import label_query
from igsm_pipeline.queries.settings import QuerySetSettings
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.world import load_world

family = FamilySettings(op_max=6, ip_max=9, modulus=7)
batch = generate_block(ProblemSetSettings(family=family, num_problems=40, block_size=40, split="all"), load_world("igsm"), 0)
settings = QuerySetSettings(family=family).of("next_to_query")
rows = list_queries(batch, settings).to_pylist()
for row in rows:
    problem, record = batch[row["problem"]], batch.records[row["problem"]]
    assert row["label"] == label_query(problem, "next_to_query", row["position"], parameter_of_code(record, row["parameter"])), row
drawn = sum(len(table) for table in draw_queries(batch, settings))
print(len(rows), {row["label"] for row in rows}, {row["position"] for row in rows}, drawn > 0, QuerySetSettings(family=family).tasks[-1])
fields = VProbeSettings.model_fields, QuerySetSettings.model_fields
print(fields[0]["task"].annotation == fields[1]["tasks"].annotation.__args__[0], TASKS["next_to_query"].classes(7))
print(about()["tasks"][-1]["question"] == TASKS["next_to_query"].words)
"""


def test_a_task_takes_a_record_its_fast_answer_and_its_slow_one_and_no_other_file(tmp_path: Path) -> None:
    assert sorted(copy_with(tmp_path, "A new probe task")) == [f"igsm_pipeline/queries/{name}.py" for name in ("facts", "labels", "tasks")]
    told = run_in(tmp_path, "-c", ASK).splitlines()
    count, rest = told[0].split(" ", 1)
    assert int(count) > 0
    assert rest == "{0, 1} {0} True next_to_query"
    assert told[1:] == ["True 2", "True"]


def test_a_task_that_needs_a_pair_at_the_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="needs_b"):
        Task("dep", "Does A depend on B?", "steps", needs_b=True)
