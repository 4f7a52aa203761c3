"""A project begins anywhere; an installed package needs no checkout to run, to plan and to show its pages."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import urllib.request
import venv
from pathlib import Path

import pytest
import yaml
from reference.empty_environment import bare_environment, install

import igsm_pipeline
from igsm_pipeline.cli import main
from igsm_pipeline.errors import BadInput, BadSettings
from igsm_pipeline.store import find_home
from igsm_pipeline.toolbox.project import begin_project, project_file, shipped

CHECKOUT = Path(igsm_pipeline.__file__).parents[1]
NAMES = ("dagster.yaml", "workspace.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_the_package_ships_the_files_of_the_checkout(name: str) -> None:
    assert shipped(name).read_bytes() == (CHECKOUT / name).read_bytes()
    assert isinstance(yaml.safe_load(shipped(name).read_text()), dict)


def test_a_project_begins_in_any_folder_and_keeps_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "Lab (x, 2024)"
    folder.mkdir()
    (folder / "workspace.yaml").write_text("mine")
    begun = begin_project(folder)
    assert (begun.home, begun.written, begun.kept) == (folder / "data", ("dagster.yaml",), ("workspace.yaml",))
    assert (folder / "workspace.yaml").read_text() == "mine"
    assert project_file(folder, "workspace.yaml") == folder / "workspace.yaml"
    assert project_file(tmp_path, "workspace.yaml") == shipped("workspace.yaml")
    monkeypatch.delenv("IGSM_HOME", raising=False)
    monkeypatch.chdir(folder / "data" / "experiments")
    assert find_home() == folder / "data"
    assert begin_project(folder).written == ()


def test_folders_that_can_be_no_project_are_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="folder must be a folder"):
        begin_project(tmp_path / "file")
    with pytest.raises(BadSettings, match="backslashes"):
        begin_project(tmp_path / "que?x")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_igsm_init_says_what_it_wrote_and_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for said in ("wrote", "kept"):
        with pytest.raises(SystemExit) as ended:
            main(["init", "my lab"])
        assert ended.value.code == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"{said} {tmp_path / 'my lab' / 'dagster.yaml'}, {tmp_path / 'my lab' / 'workspace.yaml'}"
        assert lines[-1] == f"next: cd '{tmp_path / 'my lab'}' && igsm run mini"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``igsm`` of an environment in which the package was installed by pip; what it rests on is found in the environment of the tests."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    shutil.copytree(CHECKOUT / "igsm_pipeline", source / "igsm_pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    venv.create(folder / "env", with_pip=True, symlinks=True)
    python = folder / "env" / "bin" / "python"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", source], check=True, env=environment)
    shutil.rmtree(source)
    places = json.loads(subprocess.check_output([python, "-c", "import json, sysconfig; print(json.dumps(sysconfig.get_paths()))"], env=environment))
    Path(places["purelib"], "zz_others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "env" / "bin" / "igsm"


def call(igsm: Path, folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """One command of the installed package, in a folder outside any project."""
    return subprocess.run([igsm, *words], cwd=folder, env=bare_environment() | more, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_an_installed_package_runs_with_a_project_and_with_a_data_root_alone(installed: Path, tmp_path: Path) -> None:
    lost = call(installed, tmp_path, "run", "mini", "--stage", "world")
    assert (lost.returncode, len(lost.stderr.splitlines())) == (2, 1)
    assert "`igsm init`" in lost.stderr
    assert call(installed, tmp_path, "init", "project").returncode == 0
    inside = call(installed, tmp_path / "project", "run", "mini", "--stage", "world")
    assert inside.returncode == 0, inside.stderr
    assert list((tmp_path / "project" / "data" / "store" / "world").glob("*/manifest.json"))
    alone = call(installed, tmp_path, "run", "mini", "--stage", "world", IGSM_HOME="k: v, (x) #1")
    assert alone.returncode == 0, alone.stderr
    assert list((tmp_path / "k: v, (x) #1" / "store" / "world").glob("*/manifest.json"))
    assert {path.name for path in tmp_path.iterdir()} == {"project", "k: v, (x) #1"}


@pytest.mark.slow
def test_in_an_empty_environment_outside_the_checkout_problems_are_made_judged_and_played(tmp_path: Path) -> None:
    """Everything that the package rests on is installed by pip, with the pinned versions; nothing of the tests' environment is seen."""
    environment, programs = bare_environment(), install(tmp_path)
    igsm, folder = programs / "igsm", tmp_path / "elsewhere"
    folder.mkdir()
    made = call(igsm, folder, "generate", "--world", "mini", "--num", "5", "--out", "problems.jsonl")
    assert made.returncode == 0, made.stderr
    judged = call(igsm, folder, "verify", "problems.jsonl", "--json")
    assert judged.returncode == 0, judged.stderr
    assert '"judged": 5' in judged.stdout
    shutil.copytree(CHECKOUT / "data" / "published" / "small", folder / "small")
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    with subprocess.Popen([igsm, "play", "small", "--port", str(port)], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as playing:
        assert playing.stdout is not None
        try:
            address = next(word for line in playing.stdout for word in line.split() if word.startswith("http://127.0.0.1:"))
            with urllib.request.urlopen(address, timeout=300) as page:
                assert 'id="player"' in page.read().decode()
        finally:
            playing.send_signal(signal.SIGINT)


@pytest.mark.slow
def test_an_installed_package_shows_its_pages(installed: Path, tmp_path: Path) -> None:
    environment = bare_environment()
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = [str(each.getsockname()[1]) for each in (one, two)]
    command = [installed, "ui", "--port", ports[0], "--mlflow-port", ports[1]]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment | {"IGSM_HOME": "Lab (x, 2024)"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as pages:
        assert pages.stdout is not None
        said = pages.stdout.readline().split()
        pages.send_signal(signal.SIGTERM)
        pages.communicate()
    assert said == ["Dagster", f"http://127.0.0.1:{ports[0]}"]
