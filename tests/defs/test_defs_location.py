"""The code location: what it loads, and what it must not import."""

import subprocess
import sys

import dagster as dg

from igsm_pipeline.definitions import defs
from igsm_pipeline.defs.graph.assets import ASSETS
from igsm_pipeline.defs.graph.partitions import MEMBERS
from igsm_pipeline.planning.flow import STAGES

HEAVY = {"torch", "transformers", "mlflow", "matplotlib", "altair", "vl_convert", "duckdb"}


def test_loading_definitions_imports_nothing_heavy():
    code = f"import sys, igsm_pipeline.definitions; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_definitions_load():
    dg.Definitions.validate_loadable(defs)


def test_every_stage_is_an_asset_with_version_owner_group_and_words():
    by_name = {asset.key.to_user_string(): asset for asset in ASSETS}
    assert set(STAGES) < set(by_name)
    for name, asset in by_name.items():
        spec = asset.get_asset_spec()
        assert spec.code_version, name
        assert spec.owners, name
        assert spec.group_name in {"data", "model", "mind", "result"}, name
        assert len(spec.description or "") > 40, name
        assert f"Group *{spec.group_name}*: " in (spec.description or ""), name


def test_every_stage_checks_its_files():
    for asset in ASSETS:
        if asset.key.to_user_string() in STAGES:
            assert "files_intact" in {key.name for key in asset.check_keys}


def test_every_check_has_an_outcome_per_member():
    checks = [spec for asset in ASSETS for spec in asset.check_specs]
    assert len(checks) > len(STAGES)
    assert all(spec.partitions_def is MEMBERS and spec.description for spec in checks)


def test_the_schedule_and_every_sensor_say_in_words_what_they_do():
    repository = defs.get_repository_def()
    for one in (*repository.schedule_defs, *repository.sensor_defs):
        assert len(one.description or "") > 60, one.name


def test_all_assets_share_one_partition_set():
    assert len({id(asset.partitions_def) for asset in ASSETS}) == 1


def test_schedules_and_sensors_are_off():
    repository = defs.get_repository_def()
    assert {one.default_status.value for one in (*repository.schedule_defs, *repository.sensor_defs)} == {"STOPPED"}
    assert len(repository.schedule_defs) == 1
    assert len(repository.sensor_defs) == 3
