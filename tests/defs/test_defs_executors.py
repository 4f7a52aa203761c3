"""The same graph on a Ray cluster of two nodes and on Postgres: every file has the SHA-256 of the local run's."""

import importlib.util
import os
import re
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

from igsm_pipeline.cli import main
from igsm_pipeline.defs.graph import executors
from igsm_pipeline.defs.graph.assets import ASSETS, stage_asset
from igsm_pipeline.defs.graph.executors import K8S_STEPS, PASSED_ON, RAY_ADDRESS, STEP_CPUS, STEP_GPUS, check_cluster, chosen_executor, step_tags
from igsm_pipeline.defs.operating import launch
from igsm_pipeline.errors import BadSettings
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import STAGES, find_stage
from igsm_pipeline.planning.planner import find_unit
from igsm_pipeline.running.runner import JOBS
from igsm_pipeline.store import Store

CLUSTER = "http://127.0.0.1:8265"
ON_CARDS = {
    "checkpoint", "control", "generations", "activation_cache", "linear_probes", "v_probes", "probe_scores", "error_correlation", "probe_controls",
    "emergence", "interchange", "steering", "erasure", "regret",
}  # fmt: skip
IN_SEVERAL_PROCESSES = ON_CARDS | {"problem_sets", "token_shards", "verdicts", "probe_queries"}
POSTGRES_BIN = next((path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
LONG_S = 3600
ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "reference" / "cluster_program.py"
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
    with pytest.raises(BadSettings, match=r"pip install -c constraints.txt -e .\.\[ray\]"):
        chosen_executor()


@pytest.mark.parametrize("number", ["two", "-1", "nan", "inf"])
@pytest.mark.parametrize("variable", [STEP_CPUS, STEP_GPUS])
def test_a_number_of_cores_or_cards_that_is_none_is_refused(monkeypatch, variable, number):
    monkeypatch.setenv(variable, number)
    with pytest.raises(BadSettings, match=f"{variable} must be a number"):
        step_tags(find_stage("checkpoint"))


@pytest.mark.parametrize(("old", "new"), [("IGSM_RAY_CPUS", STEP_CPUS), ("IGSM_RAY_GPUS", STEP_GPUS)])
def test_a_variable_that_has_another_name_now_is_refused_rather_than_ignored(monkeypatch, old, new):
    monkeypatch.setenv(old, "2")
    with pytest.raises(BadSettings, match=f"{old} is named {new} now"):
        step_tags(find_stage("world"))


def test_a_step_asks_a_cluster_for_the_cores_and_cards_that_its_stage_can_use(monkeypatch):
    monkeypatch.setenv(STEP_CPUS, "4")
    monkeypatch.setenv(STEP_GPUS, "2")
    assert step_tags(find_stage("checkpoint")) == {}, "in the run's own process nothing is asked for"
    monkeypatch.setenv(RAY_ADDRESS, CLUSTER)
    asked = {name: step_tags(stage)["dagster-ray/config"] for name, stage in STAGES.items()}
    assert {name for name, one in asked.items() if one["num_gpus"] == 2} == ON_CARDS
    assert {name for name, one in asked.items() if one["num_cpus"] == 4} >= IN_SEVERAL_PROCESSES
    assert {one["num_gpus"] for one in asked.values()} == {0, 2}
    for alone in (asked["world"], asked["report"], step_tags(None)["dagster-ray/config"]):
        assert alone == {"num_cpus": 1, "num_gpus": 0}, "neither cards nor many cores wait for a page to be written"


def test_a_pod_asks_for_a_card_only_where_torch_computes(monkeypatch):
    monkeypatch.setenv(K8S_STEPS, "1")
    monkeypatch.setenv(STEP_CPUS, "2")
    monkeypatch.setenv(STEP_GPUS, "1")
    asked = {name: step_tags(find_stage(name))["dagster-k8s/config"]["container_config"]["resources"] for name in ("checkpoint", "verdicts", "world")}
    assert asked == {
        "checkpoint": {"requests": {"cpu": "2"}, "limits": {"nvidia.com/gpu": "1"}},
        "verdicts": {"requests": {"cpu": "2"}},
        "world": {"requests": {"cpu": "1"}},
    }


def test_every_asset_asks(monkeypatch):
    """Ray places a job that asks for nothing on the head, whatever that has."""
    assert not any(tag.startswith("dagster-") for asset in ASSETS for tag in asset.op.tags)
    monkeypatch.setenv(RAY_ADDRESS, CLUSTER)
    for name in STAGES:
        assert "num_cpus" in stage_asset(find_stage(name), []).op.tags["dagster-ray/config"]


@pytest.mark.skipif(not installed("dagster_ray"), reason="dagster-ray is not installed: pip install -e '.[ray]'")
def test_ray_reads_what_a_step_asks_for(monkeypatch):
    from dagster_ray.configs import RayExecutionConfig  # noqa: PLC0415

    monkeypatch.setenv(RAY_ADDRESS, CLUSTER)
    monkeypatch.setenv(STEP_GPUS, "1")
    read = RayExecutionConfig.from_tags(stage_asset(find_stage("checkpoint"), []).op.tags)
    assert (read.num_cpus, read.num_gpus) == (1, 1)


@pytest.mark.skipif(not installed("dagster_k8s"), reason="dagster-k8s is not installed: pip install dagster-k8s")
def test_kubernetes_reads_what_a_step_asks_for(monkeypatch):
    from dagster_k8s.job import get_user_defined_k8s_config  # noqa: PLC0415

    monkeypatch.setenv(K8S_STEPS, "1")
    monkeypatch.setenv(STEP_GPUS, "1")
    read = get_user_defined_k8s_config(stage_asset(find_stage("checkpoint"), []).op.tags)
    assert read.container_config["resources"] == {"requests": {"cpu": "1"}, "limits": {"nvidia.com/gpu": "1"}}
    assert chosen_executor().name == "k8s"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({K8S_STEPS: "yes"}, f"{K8S_STEPS} must be 1 for a pod per step"),
        ({K8S_STEPS: "1", RAY_ADDRESS: CLUSTER}, f"{RAY_ADDRESS} must be unset where {K8S_STEPS} is 1"),
    ],
)
def test_places_that_are_none_or_two_are_refused(monkeypatch, variables, said):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings, match=said):
        chosen_executor()


def test_a_cluster_that_does_not_answer_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.delenv(RAY_ADDRESS, raising=False)
    with pytest.raises(BadSettings, match="must name the dashboard of a Ray cluster"):
        check_cluster()
    for address in (f"http://127.0.0.1:{free_port()}", "no address"):
        monkeypatch.setenv(RAY_ADDRESS, address)
        with pytest.raises(BadSettings, match=f"must be the dashboard of a Ray cluster that answers, got .{address} .*use --on local"):
            check_cluster()


def test_a_run_on_a_cluster_that_is_not_there_is_refused_before_its_plan_is_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("IGSM_HOME", str(write_experiment(tmp_path)))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    monkeypatch.setenv(RAY_ADDRESS, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(SystemExit) as ended:
        main(["run", MEMBER, "--stage", "world", "--on", "ray"])
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{RAY_ADDRESS} must be the dashboard of a Ray cluster that answers")


def test_a_run_on_a_cluster_says_what_other_processes_have_finished(tmp_path, monkeypatch):
    """Each step finds the job by the name of its function in a process of its own; what that prints stays there."""
    home = write_experiment(tmp_path)
    monkeypatch.setenv("IGSM_HOME", str(home))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    done = on_a_cluster(home, "run", MEMBER, "--stage", "world", "--quiet")
    assert done.returncode == 0, done.stderr[-3000:]
    assert Store(home / "store").check(find_unit(find_member(MEMBER), "world", "world")).fresh
    assert "steps are jobs of the Ray cluster at http://127.0.0.1:" in done.stderr
    assert re.search(rf"^{MEMBER}  world             computed           +\d+\.\d s$", done.stderr, re.MULTILINE)
    (home / "store" / "world").rename(home / "store" / "moved")
    (home / "store" / "world").write_text("no folder")
    failed = on_a_cluster(home, "run", MEMBER, "--stage", "world", "--quiet")
    assert failed.returncode == 1
    assert re.search(rf"^{MEMBER}  world  FAILED: ", failed.stderr, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "address", "on_ray"),
    [((), None, False), ((), CLUSTER, True), (("--on", "local"), CLUSTER, False), (("--on", "ray"), CLUSTER, True), (("--on", "ray"), None, True)],
)
def test_igsm_run_computes_where_it_is_told_else_where_the_environment_says(tmp_path, monkeypatch, words, address, on_ray):
    monkeypatch.setenv("IGSM_HOME", str(write_experiment(tmp_path)))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    monkeypatch.setenv(JOBS, "1")
    monkeypatch.setenv(RAY_ADDRESS, address or "")
    asked = []
    monkeypatch.setattr(executors, "check_cluster", lambda: None)
    monkeypatch.setattr(launch, "run_members", lambda members, stages, *, on_ray: asked.append((members, on_ray, os.environ.get(RAY_ADDRESS))) or 3)
    with pytest.raises(SystemExit) as ended:
        main(["run", MEMBER, "--stage", "world", "--quiet", *words])
    assert ended.value.code == 3
    assert [one[:2] for one in asked] == [([MEMBER], on_ray)]
    assert bool(asked[0][2]) == (on_ray and address is not None), "what the run starts computes here, too"


def on_a_cluster(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``igsm`` as its user has it, with steps in other processes."""
    kept = {name: value for name, value in os.environ.items() if name not in ("IGSM_EXPERIMENTS", "DAGSTER_HOME")}
    environment = {**kept, "IGSM_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(PROGRAM), *words]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=LONG_S, check=False)


def run_all(home: Path, **more: str) -> None:
    """Run every asset of a member, with the executor and the storage that the environment names."""
    environment = {**os.environ, "IGSM_HOME": str(home), "IGSM_JOBS": "1", "OMP_NUM_THREADS": "1", **more}
    environment.pop("IGSM_EXPERIMENTS", None)
    command = [sys.executable, "-m", "igsm_pipeline.cli", "run", MEMBER, "--jobs", "1"]
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
@pytest.mark.skipif(not installed("dagster_ray"), reason="dagster-ray is not installed: pip install -e '.[ray]'")
def test_a_run_on_a_ray_cluster_makes_the_files_of_a_local_run(cluster, tiny_store, tmp_path, monkeypatch):
    home = new_home(tmp_path / "ray", monkeypatch)
    run_all(home, **{RAY_ADDRESS: cluster})
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
@pytest.mark.skipif(not installed("dagster_postgres"), reason="dagster-postgres is not installed: pip install -e '.[postgres]'")
def test_a_run_recorded_in_postgres_makes_the_files_of_a_local_run(postgres, tiny_store, tmp_path, monkeypatch):
    home = new_home(tmp_path / "home", monkeypatch, STORAGE % postgres)
    run_all(home)
    same_but_for_the_clock(home, tiny_store, MADE)
    with dg.DagsterInstance.from_config(str(home / ".dagster")) as instance:
        assert [run.status.value for run in instance.get_runs()] == ["SUCCESS"]
        assert "Postgres" in type(instance.run_storage).__name__
    assert not list((home / ".dagster").rglob("runs.db"))


def test_what_is_passed_on_to_other_machines_names_no_secret():
    assert not [name for name in PASSED_ON if any(word in name for word in ("TOKEN", "KEY", "SECRET", "PASSWORD"))]
