"""Assets on a store of their own: called directly, and materialized on an ephemeral instance, by real child processes."""

import dagster as dg
import pytest

from igsm_pipeline.defs.graph import assets, results
from igsm_pipeline.defs.graph.partitions import member_tags
from igsm_pipeline.errors import StageFailed
from igsm_pipeline.planning.flow import find_stage
from igsm_pipeline.running import stage_runs

MEMBER = "invented"
FILE = """
world: {source: mini}
family: {op_max: 3, ip_max: 5, modulus: 5, op_law: uniform, split_by: problem}
tokens: {segmentation: phrase}
shards: {num_problems: 64, window: 256}
model: {layers: 2, heads: 2, head_width: 16}
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A data root with one experiment."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / f"{MEMBER}.yaml").write_text(FILE)
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    return tmp_path


def run_world():
    """The asset's body, on a partition that the code location has not loaded."""
    return assets.materialized(stage_runs.run_stage(MEMBER, "world"))


def test_an_asset_called_directly_gives_a_result(home):
    result = assets.ASSETS[0](dg.build_asset_context(partition_key="mini"))
    assert result.metadata["cache"] == "miss"
    assert result.data_version is not None


def test_an_asset_computes_once_and_hits_after_that(home):
    first, second = run_world(), run_world()
    assert (first.metadata["cache"], second.metadata["cache"]) == ("miss", "hit")
    assert first.data_version == second.data_version
    assert first.metadata["fingerprint"] == second.metadata["fingerprint"]
    assert all(check.passed for check in (*first.check_results, *second.check_results))


def test_a_deleted_file_makes_the_asset_compute_again(home):
    first = run_world()
    (folder,) = [path for path in (home / "store" / "world").iterdir() if path.is_dir()]
    (folder / "world.json").unlink()
    second = run_world()
    assert second.metadata["cache"] == "miss"
    assert second.data_version == first.data_version


def test_the_terminal_reads_one_line_per_stage(home, capsys):
    run_world()
    run_world()
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(MEMBER)]
    assert ["computed" in line for line in lines] == [True, False]
    assert "fresh" in lines[1]


def test_a_failed_stage_says_why(home, monkeypatch):
    monkeypatch.setattr(stage_runs, "stage_command", lambda member, stage: ["/bin/sh", "-c", "echo the disk is full >&2; exit 2"])
    with pytest.raises(StageFailed, match="status 2: the disk is full"):
        stage_runs.run_stage(MEMBER, "world")


def test_a_child_that_leaves_its_unit_stale_is_a_failure(home, monkeypatch):
    monkeypatch.setattr(stage_runs, "stage_command", lambda member, stage: ["/bin/true"])
    with pytest.raises(StageFailed, match="still stale"):
        stage_runs.run_stage(MEMBER, "world")


def test_materialized_on_an_instance_check_and_version_are_recorded_for_the_member(home, monkeypatch):
    monkeypatch.setattr(results, "MEMBERS", dg.StaticPartitionsDefinition([MEMBER]))

    @dg.asset(name="world", partitions_def=results.MEMBERS, check_specs=assets.check_specs(find_stage("world")))
    def world(context):
        return assets.materialized(stage_runs.run_stage(context.partition_key, "world"))

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([world], partition_key=MEMBER, instance=instance)
        assert result.success
        (evaluation,) = result.get_asset_check_evaluations()
        assert (evaluation.check_name, evaluation.partition) == ("files_intact", MEMBER)
        (event,) = result.asset_materializations_for_node("world")
        assert event.tags["dagster/data_version"] == stage_runs.run_stage(MEMBER, "world").content


def test_a_run_from_an_assets_page_gets_the_tags_of_its_member(home):
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([assets.ASSETS[0]], partition_key="mini", instance=instance)
        assert result.success
        tags = instance.get_run_by_id(result.run_id).tags
    assert member_tags("mini").items() <= tags.items()
    assert tags["igsm/member"] == "mini"
