"""What a person finds beside each asset in the UI."""

from __future__ import annotations

import json

import dagster as dg
import pytest
from reference.tiny_experiment import MEMBER

from igsm_pipeline.catalog.catalog import build_catalog
from igsm_pipeline.defs.graph.links import report_url
from igsm_pipeline.defs.graph.results import MOST_CURVES, catalogued, mlflow_links, plotted, stage_metadata
from igsm_pipeline.defs.graph.shown import MAX_BYTES, MOST_ROWS, markdown_table
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import STAGES, find_stage
from igsm_pipeline.planning.planner import find_unit, plan
from igsm_pipeline.running.stage_runs import StageRun
from igsm_pipeline.store import Store

PLOTTED = {"problem_sets", "token_shards", "checkpoint", "generations", "verdicts", "probe_scores"}
TABLED = {"problem_sets", "generations", "verdicts", "probe_scores", "error_correlation"}
IN_PARQUET = {
    "problem_sets", "token_shards", "generations", "verdicts", "probe_queries", "activation_cache", "linear_probes", "v_probes", "text_probes",
    "probe_scores", "error_correlation",
}  # fmt: skip


def run_of(stage: str) -> StageRun:
    store, member = Store.at_home(), find_member(MEMBER)
    return StageRun(find_stage(stage), store, plan(member, store, [stage]).units, {}, member=member, seconds=0.1)


def test_a_bar_in_a_cell_does_not_split_it():
    assert markdown_table(("a", "b"), [("x|y", 1)]).splitlines()[-1] == "| x\\|y | 1 |"


def test_numbers_of_a_check_are_drawn_one_by_one_and_of_many_the_ends() -> None:
    gains = {"nece": 0.25, "dep": 1}
    assert plotted({"rows": 7, "gains": gains, "said": {"one": "words"}}) == {
        "rows": 7,
        "gains": gains,
        "gains: nece": 0.25,
        "gains: dep": 1.0,
        "said": {"one": "words"},
    }
    many = {str(number): number / 100 for number in range(MOST_CURVES + 1)}
    assert plotted({"shares": many}) == {"shares": many, "shares, least": 0.0, "shares, greatest": MOST_CURVES / 100}


def test_a_catalog_that_another_has_written_is_built_anew(tmp_path, monkeypatch) -> None:
    """`igsm sql` writes the same file, so the note of the asset says which writing it means."""
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    assert [catalogued("mini").metadata["cache"] for _ in range(2)] == ["miss", "hit"]
    build_catalog([], tmp_path)
    assert [catalogued("mini").metadata["cache"] for _ in range(2)] == ["miss", "hit"]


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_shows_counts_address_time_folder_and_what_people_look_for(tiny_home, stage):
    run = run_of(stage)
    found = stage_metadata(run)
    assert found["fingerprint"] == run.fingerprint
    assert found["seconds to compute"] > 0
    assert found["store folder"].value.startswith(str(tiny_home / "store" / stage))
    assert any(isinstance(value, int) for name, value in found.items() if name not in ("bytes", "seconds"))
    assert ("plot" in found) == (stage in PLOTTED)
    assert ("table" in found) == (stage in TABLED)
    assert ("dagster/column_schema" in found) == (stage in IN_PARQUET)
    if stage in IN_PARQUET:
        assert found["dagster/row_count"] > 0
        assert any(column.description for column in found["dagster/column_schema"].columns)
    if stage in PLOTTED:
        pictures = found["plot"].value.count("data:image/png;base64,")
        assert pictures >= 1
        assert len(found["plot"].value) < (MAX_BYTES + 1000) * pictures
    if stage in TABLED:
        assert 3 <= len(found["table"].value.splitlines()) <= MOST_ROWS + 4
    if stage in ("problem_sets", "generations", "checkpoint"):
        assert any(name.endswith(" per second") for name in found)
    assert found["in the report"].value == report_url(MEMBER, stage)
    if stage == "report":
        assert found["page"].value.endswith("report.html")
        assert found["play it live"] == f"igsm play {MEMBER}"


@pytest.mark.slow
def test_what_rests_on_a_checkpoint_links_to_its_mlflow_run(tiny_home):
    checkpoint = find_unit(find_member(MEMBER), "checkpoint", "checkpoint")
    assert mlflow_links(run_of("v_probes").units) == {}
    folder = tiny_home / "mlflow" / "runs"
    folder.mkdir(parents=True)
    (folder / f"{checkpoint.fingerprint}.json").write_text(json.dumps({"run_id": "abc", "experiment_id": "1", "step": 3}))
    for stage in ("checkpoint", "generations", "activation_cache", "v_probes", "report"):
        links = mlflow_links(run_of(stage).units)
        assert links["MLflow run id"] == "abc", stage
        assert isinstance(links["MLflow run"], dg.UrlMetadataValue)
    assert mlflow_links(run_of("world").units) == {}


@pytest.mark.slow
def test_a_plot_is_drawn_once_for_each_content(tiny_home, monkeypatch):
    first = stage_metadata(run_of("problem_sets"))["plot"].value
    monkeypatch.setattr("igsm_pipeline.defs.graph.shown.image", lambda *_: pytest.fail("drawn again"))
    assert stage_metadata(run_of("problem_sets"))["plot"].value == first
