"""The same probes on every candidate set: on the experiment's own set they score what the stage of scores says, and other sets ask of others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reference.few_problems import few_problems, write_few

from igsm_pipeline.experiments import find_member
from igsm_pipeline.knowledge import candidate_sets
from igsm_pipeline.knowledge.candidate_sets import Taught
from igsm_pipeline.knowledge.stage import SETS
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.probes.text_features import text_features
from igsm_pipeline.probes.text_probe import learn_from_text, predict_from_text
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block, read_problems
from igsm_pipeline.queries.draw import draw_queries
from igsm_pipeline.queries.labels import label_query, list_candidates
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.running.runner import run_units
from igsm_pipeline.store import Store
from igsm_pipeline.world import load_world

TASKS = ["nece", "dep", "can_next"]
NAMES = ["all", "existing", "text", "graph"]
PROBLEMS, PART = 24, "op<=max"


def experiment(**knowledge: Any) -> dict[str, Any]:
    made = few_problems(PROBLEMS) | {"knowledge": knowledge, "steering": {"problems": 0}}
    made["probes"] |= {
        "tasks": TASKS,
        "num_steps": 5,
        "batch_problems": 8,
        "slice_problems": 12,
        "per_problem": 900,
        "slices": [PART],
        "prior": "uniform",
    }
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("sets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IGSM_HOME", str(home))
        patch.delenv("IGSM_EXPERIMENTS", raising=False)
        write_few(home, experiment(candidate_sets=NAMES))
        member, store = find_member("few"), Store.at_home()
        for stage in STAGES:
            if stage not in ("regret", "emergence", "interchange", "error_correlation", "llm_evaluations", "report"):
                run_units(member, stage, store)
        units = {(unit.stage, unit.name): unit for unit in units_of(member)}
        table = pq.read_table(store.path(units["probe_controls", "probe_controls"]) / "candidate_sets.parquet")
        world = load_world(store.path(units["world", "world"]))
        batch = read_problems(store.path(units["problem_sets", PART]), world, 5)
        yield SimpleNamespace(table=table, rows=table.to_pylist(), scores=store.path(units["probe_scores", PART]), problems=list(batch)[:12])


def test_trees_on_the_text_learn_once_and_answer_every_slice_as_if_learned_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    family = FamilySettings(op_max=6, ip_max=8, modulus=5, op_law="uniform", split_by="problem")
    batch, *slices = (
        generate_block(ProblemSetSettings(family=family, num_problems=40, block_size=40, seed=seed), load_world("mini"), 0) for seed in (1, 2, 3)
    )
    draw = QuerySettings(family=family, task="nece", per_problem=8, seed=0, stream="trees")
    train, *asked = (pa.concat_tables(draw_queries(one, draw)) for one in (batch, *slices))
    learned, label = [], train["label"].to_numpy().astype(np.int64)
    monkeypatch.setattr(candidate_sets, "learn_from_text", lambda *what, **how: (learned.append(how), learn_from_text(*what, **how))[1])
    taught = Taught(batch, train, 2, 7, "uniform")
    for one, queries in zip(slices, asked, strict=True):
        features = text_features(one.records, queries)
        alone = predict_from_text(text_features(batch.records, train), label, features, num_classes=2, seed=7, prior="uniform")
        for said, wanted in zip(taught.trees(features), alone, strict=True):
            np.testing.assert_array_equal(said, wanted)
    assert learned == [{"num_classes": 2, "seed": 7, "prior": "uniform"}]


def test_on_the_experiments_own_set_every_reader_scores_what_the_stage_of_scores_says(made: Any) -> None:
    assert made.table.schema == SETS.schema()
    metrics = pq.read_table(made.scores / "metrics.parquet").to_pylist()
    stated = {(row["task"], row["probe"], row["subset"]): row for row in metrics if row["op"] is None}
    own = [row for row in made.rows if row["candidates"] == "existing"]
    assert {row["reader"] for row in own} == {"v_probe", "random", "text", "majority"}
    compared = 0
    for row in own:
        other = stated.get((row["task"], row["reader"], row["subset"]))
        if other is not None and row["reader"] != "majority":
            compared += 1
            names = ("n", "num_problems", "positives", "accuracy", "accuracy_low", "accuracy_high", "balanced_accuracy", "balanced_accuracy_high")
            assert {name: row[name] for name in names} == {name: other[name] for name in names}
            assert row["gain"] == other["balanced_accuracy_gain"]
    assert compared == 3 * 3 * len(TASKS)
    beyond = {row["task"]: row for row in pq.read_table(made.scores / "beyond_text.parquet").to_pylist() if row["probe"] == "v_probe"}
    for row in own:
        if row["subset"] == "all" and row["reader"] in ("v_probe", "text"):
            assert row["balanced_accuracy"] == beyond[row["task"]]["balanced_accuracy" if row["reader"] == "v_probe" else "text"]
        if row["subset"] == "all" and row["reader"] == "v_probe":
            assert (row["gain_over_text"], row["gain_over_text_low"]) == (beyond[row["task"]]["gain"], beyond[row["task"]]["gain_low"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("task", TASKS)
def test_each_set_asks_about_its_own_quantities_needed_and_others_apart(made: Any, task: Any, name: Any) -> None:
    asked = {"all": [0, 0], "necessary": [0, 0], "unnecessary": [0, 0]}  # number, positives; 900 a problem are all there are
    for problem in made.problems:
        candidates = list_candidates(problem, name)
        for position in range(len(problem.order) + 1) if task == "can_next" else (0,):
            for one in candidates:
                for other in [other for other in candidates if other != one] if task == "dep" else [None]:
                    label = label_query(problem, task, position, one, other)
                    for subset in ("all", "necessary" if one in problem.necessary else "unnecessary"):
                        asked[subset][0] += 1
                        asked[subset][1] += label
    rows = [row for row in made.rows if (row["task"], row["candidates"], row["reader"]) == (task, name, "v_probe")]
    assert {row["subset"]: [row["n"], row["positives"]] for row in rows} == {subset: counts for subset, counts in asked.items() if counts[0]}


def test_a_member_that_names_no_sets_keeps_its_unit_and_has_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    write_few(tmp_path, experiment(controls=["permuted"]))
    (plain,) = (unit for unit in units_of(find_member("few")) if unit.stage == "probe_controls")
    assert "candidates" not in plain.settings
    write_few(tmp_path, experiment(controls=["permuted"], candidate_sets=["all", "graph"]))
    (more,) = (unit for unit in units_of(find_member("few")) if unit.stage == "probe_controls")
    assert more.settings["candidates"] == {"sets": ["all", "graph"], "per_problem": 900, "first": 12, "seed": 0}
    assert {**more.settings, "candidates": None} == {**plain.settings, "candidates": None}
    assert STAGES["probe_controls"].work(more) > STAGES["probe_controls"].work(plain)
