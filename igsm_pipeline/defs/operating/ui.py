"""One command, all pages: Dagster's webserver with its daemon, and MLflow's server, on this machine only, stopped together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from igsm_pipeline.defs.operating.automation import UI_URL
from igsm_pipeline.defs.operating.instance import enter_home, open_instance, project_root
from igsm_pipeline.defs.tracking.addresses import members_path
from igsm_pipeline.defs.tracking.notes import mlflow_folder
from igsm_pipeline.defs.tracking.runs import Tracking, database_uri, quiet_mlflow
from igsm_pipeline.errors import BadSettings, IgsmError, StageFailed, StoreError
from igsm_pipeline.running.child import die_with, stop
from igsm_pipeline.store import locked
from igsm_pipeline.toolbox.project import WORKSPACE, project_file

HOST = "127.0.0.1"
MLFLOW_HOSTS = ("127.0.0.1", "127.0.0.1:*", "localhost", "localhost:*", "[[]::1]:*")  # [[] is a bracket in MLflow's patterns
START_S = 600.0
STOP_S = 30.0
POLL_S = 0.3
LOCK = "ui.lock"


@dataclass(frozen=True)
class Server:
    """One server to run.

    Attributes:
        name: for people.
        command: how it is started.
        url: where it answers; None for the daemon, which has no page.
        health: path below ``url`` that answers once it is up.
    """

    name: str
    command: Sequence[str]
    url: str | None = None
    health: str = "/"


def run_ui(port: int = 3000, mlflow_port: int = 5000) -> int:
    """Start everything, print the addresses, wait for Ctrl-C or SIGTERM, stop everything.

    One data root has one such process: a lock says so, and two that start at once never meet in a database that does not exist yet.

    Args:
        port: of Dagster's page.
        mlflow_port: of MLflow's page.

    Returns:
        The exit code: 0 stopped as asked, 1 a server died, 2 refused (a port is taken, say).
    """
    try:
        home = enter_home()
        with locked(home / LOCK, wait=False) as alone:
            if not alone:
                there = (home / LOCK).read_text().strip() or "starting"
                raise StoreError(f"the pages of {home} are served already ({there}); use them, stop that process, or set IGSM_HOME to another folder")
            check_free({"port": port, "mlflow-port": mlflow_port})
            (home / LOCK).write_text(f"process {os.getpid()}, http://{HOST}:{port} and http://{HOST}:{mlflow_port}\n")
            open_instance().dispose()
            tracking = Tracking()
            return _serve(home, port, mlflow_port, members_path(tracking.experiment_id(tracking.client())))
    except IgsmError as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"the data root cannot be written ({error}); make room, mount it writable, or set IGSM_HOME to another folder", file=sys.stderr)
    return 2


def _serve(home: Path, port: int, mlflow_port: int, members: str) -> int:
    """Run the servers until a signal comes or one of them ends; returns the exit code. ``members`` is the path of MLflow's table of members."""
    os.environ[UI_URL] = f"http://{HOST}:{port}"
    stopped, processes, logs = _on_signal(), dict[str, subprocess.Popen[bytes]](), home / "logs"
    logs.mkdir(exist_ok=True)
    parent = os.getpid()
    try:
        for server in servers(port, mlflow_port):
            with (logs / f"{server.name}.log").open("ab") as log:
                processes[server.name] = subprocess.Popen(
                    server.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    process_group=0,  # Ctrl-C reaches this process only, which then stops the servers in order
                    preexec_fn=lambda: die_with(parent),  # noqa: PLW1509  (system calls, their library loaded beforehand)
                )
        wait_until_up(servers(port, mlflow_port), processes, stopped)
        if not stopped:
            print(f"Dagster  http://{HOST}:{port}\nMLflow   http://{HOST}:{mlflow_port}{members}")
            print(f"logs     {logs}\nCtrl-C stops everything", flush=True)
        while not stopped:
            for name, process in processes.items():
                if process.poll() is not None:
                    raise StageFailed(f"{name} ended with status {process.returncode}; see {logs / (name + '.log')}")
            time.sleep(POLL_S)
    except StageFailed as error:
        if not stopped:
            print(error, file=sys.stderr)
            return 1
    finally:
        _stop_all(list(processes.values()))
    return 0


def _stop_all(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Interrupt every server and wait for it and its processes (a run saves its state first); kill what remains."""
    for process in reversed(processes):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    for process in processes:
        stop(process, STOP_S)
    deadline = time.monotonic() + STOP_S
    for process in processes:
        while _signal_group(process.pid, 0) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        _signal_group(process.pid, signal.SIGKILL)


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group (0 only asks); returns whether a process of it is left."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def servers(port: int, mlflow_port: int) -> list[Server]:
    """The servers to run: the webserver, the daemon (without it launched runs stay queued), and MLflow with one worker."""
    python = sys.executable
    quiet_mlflow()
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    workspace = str(project_file(project_root(), WORKSPACE))
    artifacts = (mlflow_folder() / "artifacts").as_uri()
    return [
        Server(
            "dagster-webserver",
            [python, "-m", "igsm_pipeline.defs.operating.webserver", HOST, str(port), workspace, f"http://{HOST}:{mlflow_port}"],
            f"http://{HOST}:{port}",
            "/server_info",
        ),
        Server("dagster-daemon", [python, "-m", "dagster._daemon", "run", "-w", workspace]),
        Server(
            "mlflow",
            [
                python,
                "-m",
                "mlflow",
                "server",
                "--host",
                HOST,
                "--port",
                str(mlflow_port),
                "--workers",
                "1",
                "--backend-store-uri",
                database_uri(),
                "--default-artifact-root",
                artifacts,
                "--allowed-hosts",
                ",".join(MLFLOW_HOSTS),
                "--cors-allowed-origins",
                f"http://{HOST}:{mlflow_port}",
                "--x-frame-options",
                "DENY",
            ],
            f"http://{HOST}:{mlflow_port}",
            "/health",
        ),
    ]


def check_free(ports: Mapping[str, int]) -> None:
    """Refuse ports that are in use, or that are given twice.

    Raises:
        BadSettings: it names the option and the port.
    """
    seen: set[int] = set()
    for option, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
                taken = port in seen or port == 0
            except (OSError, OverflowError):
                taken = True
        if taken:
            raise BadSettings(f"--{option}", "must be a free port", port, f"stop what listens there or choose another with --{option}")
        seen.add(port)


def wait_until_up(wanted: Sequence[Server], processes: Mapping[str, subprocess.Popen[bytes]], stopped: Sequence[int]) -> None:
    """Wait until every server with a page answers.

    Raises:
        StageFailed: a server ended, or did not answer within ten minutes.
    """
    deadline = time.monotonic() + START_S
    for server in wanted:
        while server.url is not None and not stopped and not _answers(server.url + server.health):
            if processes[server.name].poll() is not None:
                raise StageFailed(f"{server.name} ended with status {processes[server.name].returncode} before it was up; see its log")
            if time.monotonic() > deadline:
                raise StageFailed(f"{server.name} did not answer at {server.url} within {START_S:.0f} s; see its log")
            time.sleep(POLL_S)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _on_signal() -> list[int]:
    """A list that gets the signal when SIGINT, SIGTERM or SIGHUP (a closed terminal) comes."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, note)
    return received
