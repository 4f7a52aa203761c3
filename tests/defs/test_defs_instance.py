"""Dagster's own files, runs whose process was killed, the champion's rule, MLflow's names."""

import time

import dagster as dg
import pytest
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

from igsm_pipeline.defs.operating.instance import OWNER_TAG, close_dead_runs, enter_home, old_runs, owned_runs
from igsm_pipeline.defs.operating.ui import check_free
from igsm_pipeline.defs.operating.waiting import wait_quietly
from igsm_pipeline.defs.tracking.addresses import clean_name
from igsm_pipeline.defs.tracking.registry import Score, judge
from igsm_pipeline.defs.tracking.runs import flatten, metric_values
from igsm_pipeline.errors import BadSettings
from igsm_pipeline.intervals.interval import Interval


@dg.job
def empty():
    """A job to make runs of."""


def test_a_foreign_data_root_keeps_its_own_dagster_files(tmp_path, monkeypatch):
    monkeypatch.setenv("IGSM_HOME", str(tmp_path / "data elsewhere"))
    monkeypatch.setenv("DAGSTER_HOME", "unset")
    monkeypatch.chdir(".")
    home = enter_home()
    assert home == tmp_path / "data elsewhere"
    assert str(home / ".dagster") in (home / ".dagster" / "dagster.yaml").read_text()


def test_the_run_of_a_dead_process_is_closed_and_that_of_a_live_one_is_not(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance, owned_runs(tmp_path) as mine:
        live = instance.create_run_for_job(empty, status=dg.DagsterRunStatus.STARTED, tags=dict(mine))
        dead = instance.create_run_for_job(empty, status=dg.DagsterRunStatus.STARTED, tags={OWNER_TAG: "nobody"})
        other = instance.create_run_for_job(empty, status=dg.DagsterRunStatus.STARTED)
        assert close_dead_runs(instance, tmp_path) == [dead.run_id]
        assert [instance.get_run_by_id(run.run_id).status.value for run in (live, dead, other)] == ["STARTED", "FAILURE", "STARTED"]


def test_old_runs_go_but_for_those_that_made_an_assets_latest_materialization():
    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
    def thing():
        return None

    with dg.DagsterInstance.ephemeral() as instance:
        runs = [dg.materialize([thing], partition_key=key, instance=instance).run_id for key in ("a", "b", "a")]
        failed = instance.create_run_for_job(empty, status=dg.DagsterRunStatus.FAILURE).run_id
        live = instance.create_run_for_job(empty, status=dg.DagsterRunStatus.STARTED).run_id
        assert {run.run_id for run in old_runs(instance, 0)} == {runs[0], failed}
        assert old_runs(instance, 1) == []
        assert live not in {run.run_id for run in old_runs(instance, 0)}


def test_a_run_that_waits_for_the_pool_sleeps_and_names_the_run_that_holds_it(capsys, monkeypatch):
    monkeypatch.setattr(
        InstanceConcurrencyContext, "interval_to_next_pending_claim_check", InstanceConcurrencyContext.interval_to_next_pending_claim_check
    )
    wait_quietly()
    with dg.instance_for_test(overrides={"concurrency": {"pools": {"granularity": "op"}}}) as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots("gpu", 1)
        holder = instance.create_run_for_job(empty, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "small"})
        assert storage.claim_concurrency_slot("gpu", holder.run_id, "checkpoint").is_claimed
        waiting = instance.create_run_for_job(empty, status=dg.DagsterRunStatus.STARTED)
        with InstanceConcurrencyContext(instance, waiting) as context:
            assert context.interval_to_next_pending_claim_check() == 0
            assert not context.claim("gpu", "v_probes")
            for _ in range(2):
                assert 0.1 < context.interval_to_next_pending_claim_check() <= 15
            told = capsys.readouterr().err
            assert told.count("\n") == 1
            assert "v_probes waits: the pool gpu is used by checkpoint of small" in told
            storage.free_concurrency_slots_for_run(holder.run_id)
            time.sleep(context.interval_to_next_pending_claim_check())
            assert context.claim("gpu", "v_probes")


def score(test_set="a", low=0.8, high=0.9):
    return Score(test_set, Interval((low + high) / 2, low, high, 100))


class Version:
    """A model version as MLflow gives it, as far as the decision looks at it."""

    def __init__(self, found):
        self.version, self.tags = 1, found.tags()


@pytest.mark.parametrize(
    ("new", "wins"),
    [(score(low=0.91, high=0.95), True), (score(low=0.89, high=0.95), False), (score("b", low=0.99, high=1.0), False), (score(), False)],
)
def test_the_champion_changes_only_beyond_doubt_on_the_same_test_set(new, wins):
    assert judge(new, Version(score()))[0] is wins


def test_the_first_model_is_champion():
    assert judge(score(), None)[0]


def test_a_score_survives_its_tags():
    assert Score.of_tags(score().tags()) == score()


def test_metrics_rows_become_named_numbers():
    rows = [{"step": 5, "loss": 1.5, "warning": "flat"}, {"step": 5, "accuracy": {"2": [1, 4], "10": [0, 0]}}]
    assert [pair for row in rows for pair in metric_values(row)] == [("loss", 1.5), ("accuracy/op 02", 0.25)]
    assert clean_name("op<=max") == "op__max"
    assert list(flatten({"a": {"b": 1}, "c": 2})) == [("a.b", 1), ("c", 2)]


def test_one_port_for_two_servers_is_refused():
    with pytest.raises(BadSettings, match="--mlflow-port must be a free port"):
        check_free({"port": 45679, "mlflow-port": 45679})
