"""The same graph on a Ray cluster of two nodes and on Postgres: every file has the SHA-256 of the local run's."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from reference.ray_tools import ray_cluster
from reference.servers import free_port
from reference.store_files import same_but_for_the_clock
from reference.tiny_experiment import MEMBER, write_experiment

from igsm_pipeline.defs.operating.executors import PASSED_ON, RAY_ADDRESS, RAY_CPUS, chosen_executor
from igsm_pipeline.errors import BadSettings
from igsm_pipeline.planning.flow import STAGES

POSTGRES_BIN = next((path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
LONG_S = 3600
MADE = set(STAGES) - {"own_problems"}
"""The stages of which the tiny member has units."""
STORAGE = """
storage:
  postgres:
    postgres_db: {hostname: 127.0.0.1, port: %d, username: igsm, password: igsm, db_name: igsm, scheme: postgresql+psycopg2}
"""


def installed(module: str) -> bool:
    """Whether a module could be imported."""
    return importlib.util.find_spec(module) is not None


def test_steps_run_in_the_runs_process_unless_a_cluster_is_named(monkeypatch):
    monkeypatch.delenv(RAY_ADDRESS, raising=False)
    assert chosen_executor() is dg.in_process_executor
    monkeypatch.setenv(RAY_ADDRESS, "")
    assert chosen_executor() is dg.in_process_executor


@pytest.mark.skipif(installed("dagster_ray"), reason="dagster-ray is installed")
def test_a_cluster_without_the_extra_is_refused_with_the_way_out(monkeypatch):
    monkeypatch.setenv(RAY_ADDRESS, "http://127.0.0.1:8265")
    with pytest.raises(BadSettings, match=r"igsm_pipeline\[ray\]"):
        chosen_executor()


@pytest.mark.skipif(not installed("dagster_ray"), reason="dagster-ray is not installed: pip install 'igsm_pipeline[ray]'")
@pytest.mark.parametrize("number", ["two", "-1", "nan", "inf"])
def test_a_number_of_cores_that_is_none_is_refused(monkeypatch, number):
    monkeypatch.setenv(RAY_ADDRESS, "http://127.0.0.1:8265")
    monkeypatch.setenv(RAY_CPUS, number)
    with pytest.raises(BadSettings, match=f"{RAY_CPUS} must be a number"):
        chosen_executor()


def materialize(home: Path, **more: str) -> None:
    """Run every asset of a member through Dagster's own command, with the executor and the storage that the environment names."""
    environment = {**os.environ, "IGSM_HOME": str(home), "DAGSTER_HOME": str(home / ".dagster"), "IGSM_JOBS": "1", "OMP_NUM_THREADS": "1", **more}
    environment.pop("IGSM_EXPERIMENTS", None)
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "igsm_pipeline.definitions", "--select", "*", "--partition", MEMBER]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONG_S, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


def new_home(path: Path, monkeypatch: pytest.MonkeyPatch, storage: str = "") -> Path:
    """A data root with the tiny experiment and a Dagster home of its own, with another storage if one is given."""
    from igsm_pipeline.defs.operating.instance import enter_home  # noqa: PLC0415

    home = write_experiment(path)
    monkeypatch.setenv("IGSM_HOME", str(home))
    monkeypatch.setenv("DAGSTER_HOME", "unset")
    monkeypatch.chdir(".")
    enter_home()
    if storage:
        config = home / ".dagster" / "dagster.yaml"
        kept = {section: value for section, value in yaml.safe_load(config.read_text()).items() if section != "storage"}
        config.write_text(yaml.safe_dump(kept, sort_keys=False) + storage)
    return home


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a Ray cluster of two nodes on this machine's loopback."""
    with ray_cluster() as address:
        yield address


@pytest.mark.slow
@pytest.mark.skipif(not installed("dagster_ray"), reason="dagster-ray is not installed: pip install 'igsm_pipeline[ray]'")
def test_a_run_on_a_ray_cluster_makes_the_files_of_a_local_run(cluster, tiny_store, tmp_path, monkeypatch):
    home = new_home(tmp_path / "ray", monkeypatch)
    materialize(home, **{RAY_ADDRESS: cluster})
    same_but_for_the_clock(home, tiny_store, MADE)
    with dg.DagsterInstance.from_config(str(home / ".dagster")) as instance:
        (run,) = instance.get_runs()
        starts = [event for event in instance.all_logs(run.run_id) if event.dagster_event and "in Ray job" in (event.dagster_event.message or "")]
        assert len(starts) == len(STAGES) + 2  # catalog and registered_model are no stages


@pytest.fixture
def postgres(tmp_path) -> Iterator[int]:
    """The port of a fresh Postgres server with a role and a database igsm."""
    if POSTGRES_BIN is None:
        pytest.skip("no Postgres on this machine: apt-get install postgresql")
    port, folder = free_port(), tmp_path / "postgres"
    folder.mkdir()
    user = []
    if os.geteuid() == 0:  # Postgres refuses to run as root
        shutil.chown(folder, "postgres")
        for parent in (folder, *folder.parents):
            if parent.owner() == "root" and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
        user = ["runuser", "-u", "postgres", "--"]

    def server(program: str, *arguments: str) -> None:
        subprocess.run([*user, str(POSTGRES_BIN / program), *arguments], check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=LONG_S)

    data = str(folder / "data")
    server("initdb", "-D", data, "-A", "trust", "-U", "igsm")
    server("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", f"-h 127.0.0.1 -p {port} -k {folder}", "start")
    try:
        server("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "igsm", "igsm")
        yield port
    finally:
        server("pg_ctl", "-D", data, "-m", "fast", "stop")


@pytest.mark.slow
@pytest.mark.skipif(not installed("dagster_postgres"), reason="dagster-postgres is not installed: pip install 'igsm_pipeline[postgres]'")
def test_a_run_recorded_in_postgres_makes_the_files_of_a_local_run(postgres, tiny_store, tmp_path, monkeypatch):
    home = new_home(tmp_path / "home", monkeypatch, STORAGE % postgres)
    materialize(home)
    same_but_for_the_clock(home, tiny_store, MADE)
    with dg.DagsterInstance.from_config(str(home / ".dagster")) as instance:
        assert [run.status.value for run in instance.get_runs()] == ["SUCCESS"]
        assert "Postgres" in type(instance.run_storage).__name__
    assert not list((home / ".dagster").rglob("runs.db"))


def test_what_is_passed_on_to_other_machines_names_no_secret():
    assert not [name for name in PASSED_ON if any(word in name for word in ("TOKEN", "KEY", "SECRET", "PASSWORD"))]
