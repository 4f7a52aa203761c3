"""The checks of queries and states pass on what the stages write and fail on what was tampered with."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from igsm_pipeline.activations.checks import sharing_is_exact
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import find_stage, units_of
from igsm_pipeline.planning.planner import find_unit
from igsm_pipeline.queries.checks import label_shares, labels_of_both_kinds, probed_apart
from igsm_pipeline.running.runner import run_unit, run_units
from igsm_pipeline.stage import StageUnits
from igsm_pipeline.store import Store

FILE = """
world: {source: mini}
family: {op_max: 3, ip_max: 5, modulus: 5, op_law: uniform, split_by: problem}
tokens: {segmentation: phrase}
shards: {num_problems: 8, window: 256}
model: {layers: 2, heads: 2, head_width: 16}
evaluation: {num_problems: 40, problems_per_op: 4, monitor_per_op: 4, slices: ["op<=max"]}
probes: {num_problems: 80, slices: ["op<=max", reask]}
"""


@pytest.fixture
def made(tmp_path, monkeypatch):
    """(member, store) with problems, queries, the control and its states."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "invented.yaml").write_text(FILE)
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    member, store = find_member("invented"), Store.at_home()
    for stage in ("world", "problem_sets", "probe_queries"):
        run_units(member, stage, store)
    return member, store


def stage_run(made, stage, *names, hit=False):
    member, store = made
    units = tuple(unit for unit in units_of(member) if unit.stage == stage and (not names or unit.name in names))
    return StageUnits(find_stage(stage), store, units, {} if hit else dict.fromkeys(units, ("made",)))


def rewrite(path, column, values):
    table = pq.read_table(path)
    field = table.schema.field(column)
    pq.write_table(table.set_column(table.column_names.index(column), field, pa.array(values(table[column].to_numpy()), field.type)), path)


def test_label_shares_are_those_of_the_draw_until_somebody_balances_them(made):
    assert (outcome := label_shares(stage_run(made, "probe_queries"))).passed, outcome.message
    folder = made[1].path(find_unit(made[0], "probe_queries", "op<=max"))
    rewrite(folder / "queries-known.parquet", "label", lambda label: np.arange(len(label)) % 2)
    outcome = label_shares(stage_run(made, "probe_queries"))
    assert not outcome.passed
    assert outcome.message.startswith("op<=max known:")
    assert ";" not in outcome.message


def test_a_training_set_of_one_label_fails_where_its_problems_offer_both(made):
    assert (outcome := labels_of_both_kinds(stage_run(made, "probe_queries"))).passed, outcome.message
    assert outcome.message == "every training set holds more than one label"
    test, train = (made[1].path(find_unit(made[0], "probe_queries", name)) for name in ("op<=max", "probe_train"))
    rewrite(test / "queries-nece.parquet", "label", np.ones_like)
    assert labels_of_both_kinds(stage_run(made, "probe_queries")).passed, "what probes are tested on may be of one kind"
    rewrite(train / "queries-nece.parquet", "label", np.ones_like)
    rewrite(train / "queries-value.parquet", "label", lambda label: np.full_like(label, 5))
    outcome = labels_of_both_kinds(stage_run(made, "probe_queries"))
    assert not outcome.passed
    assert outcome.message == "nece of probe_train has only the label 1; value of probe_train has only the label 5"


def test_a_training_set_without_queries_fails(made):
    path = made[1].path(find_unit(made[0], "probe_queries", "probe_train")) / "queries-dep.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    assert labels_of_both_kinds(stage_run(made, "probe_queries")).message.startswith("dep of probe_train has no query")


def test_bins_that_probes_are_trained_and_tested_on_must_differ(made):
    assert (outcome := probed_apart(stage_run(made, "probe_queries"))).passed, outcome.message
    folder = made[1].path(find_unit(made[0], "problem_sets", "op<=max"))
    rewrite(next(folder.glob("*.parquet")), "split_bin", np.zeros_like)
    assert not probed_apart(stage_run(made, "probe_queries")).passed


def test_a_state_that_a_separate_pass_does_not_give_is_found(made):
    member, store = made
    run_units(member, "control", store)
    unit = find_unit(member, "activation_cache", "op<=max random")
    run_unit(unit, store)
    run = stage_run(made, "activation_cache", "op<=max random")
    assert (outcome := sharing_is_exact(run)).passed, outcome.message
    path = store.path(unit) / "queries-00000.parquet"
    rewrite_layer(path, "layer_2")
    assert not sharing_is_exact(run).passed
    assert sharing_is_exact(stage_run(made, "activation_cache", "op<=max random", hit=True)).passed, "nothing is computed for a hit"


def rewrite_layer(path, name):
    """Shift a layer's states by one query."""
    table = pq.read_table(path)
    column = table[name].combine_chunks()
    pq.write_table(table.set_column(table.column_names.index(name), name, column.take(pa.array(np.roll(np.arange(len(column)), 1)))), path)
