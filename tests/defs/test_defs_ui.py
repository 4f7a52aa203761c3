"""One command for all pages: refusals before anything starts, and a first use that two may begin at once."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from igsm_pipeline.defs.operating import ui
from igsm_pipeline.defs.operating.ui import check_free, run_ui
from igsm_pipeline.errors import BadSettings
from igsm_pipeline.store import locked

FIRST_USE = """
from igsm_pipeline.defs.operating.instance import enter_home, open_instance
from igsm_pipeline.defs.tracking.runs import Tracking
enter_home()
open_instance().dispose()
Tracking().client()
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A data root of the test's own; Dagster's and MLflow's variables and the working folder are put back afterwards."""
    monkeypatch.setenv("IGSM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", "unset")
    monkeypatch.chdir(".")
    return tmp_path / "home"


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(BadSettings, match="--port must be a free port"):
        check_free({"port": port})


def test_a_taken_port_is_refused_before_anything_starts(home, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run_ui(port, port + 1) == 2
    error = capsys.readouterr().err
    assert f"--port must be a free port, got {port}" in error
    assert "choose another with --port" in error
    assert not (home / "logs").exists()


def test_a_second_command_for_the_same_data_says_who_serves_it(home, capsys):
    with locked(home / ui.LOCK) as mine:
        assert mine
        (home / ui.LOCK).write_text("process 12345, http://127.0.0.1:3000 and http://127.0.0.1:5000\n")
        assert run_ui(45671, 45672) == 2
    error = capsys.readouterr().err
    assert "served already (process 12345, http://127.0.0.1:3000" in error
    assert "IGSM_HOME" in error


def test_a_data_root_that_cannot_be_written_is_said_to_be_so(home, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(30, "Read-only file system", str(home))

    monkeypatch.setattr(ui, "locked", full)
    assert run_ui(45671, 45672) == 2
    assert "mount it writable" in capsys.readouterr().err


def test_a_server_that_dies_at_once_ends_everything_and_names_its_log(home, capsys, monkeypatch):
    sleeper = ui.Server("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"])
    dying = ui.Server("dying", [sys.executable, "-c", "raise SystemExit(3)"], "http://127.0.0.1:9", "/")
    monkeypatch.setattr(ui, "servers", lambda port, mlflow_port: [sleeper, dying])
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    try:
        home.mkdir()
        assert ui._serve(home, 45671, 45672, "") == 1
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), handlers, strict=True):
            signal.signal(number, handler)
    assert "dying ended with status 3 before it was up" in capsys.readouterr().err
    assert (home / "logs" / "dying.log").is_file()


STUBBORN = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_what_a_server_started_does_not_outlive_it(monkeypatch):
    monkeypatch.setattr(ui, "STOP_S", 0.5)
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True, process_group=0) as server:
        child = int(server.stdout.readline())
        ui._stop_all([server])
        assert server.poll() is not None
    deadline = time.monotonic() + 10
    while runs_on(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs_on(child)


def runs_on(process):
    """Whether a process still runs (one that nobody has waited for yet has ended)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


PARENT = """
import sys
from pathlib import Path
from igsm_pipeline.defs.operating import ui
child = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
ui.servers = lambda port, mlflow_port: [ui.Server("sleeper", [sys.executable, "-c", child])]
sys.exit(ui._serve(Path(sys.argv[1]), 45671, 45672, ""))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_servers_end_with_the_command_however_it_ends(tmp_path, number):
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout.readline().startswith("Dagster")
        log, deadline = tmp_path / "logs" / "sleeper.log", time.monotonic() + 60
        while not log.read_text().strip() and time.monotonic() < deadline:
            time.sleep(0.05)
        child = int(log.read_text())
        command.send_signal(number)
        assert command.wait() == (-number if number == signal.SIGKILL else 0)
    while runs_on(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs_on(child)


@pytest.mark.slow
def test_two_first_uses_at_once_leave_whole_databases(home):
    environment = {**os.environ, "IGSM_HOME": str(home)}
    both = [subprocess.Popen([sys.executable, "-c", FIRST_USE], env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [(process.communicate()[1], process.returncode)[1] for process in both] == [0, 0]
    databases = [path for path in home.rglob("*.db") if path.stat().st_size]
    assert {"mlflow.db", "runs.db"} <= {path.name for path in databases}
    for path in databases:
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
