"""A Ray cluster for a test: two nodes on this machine's loopback, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reference.servers import free_port

_PROGRAM = Path(__file__).with_name("ray_cluster.py")


@contextmanager
def ray_cluster() -> Iterator[str]:
    """Start a cluster, yield the address of its dashboard, and stop it. Needs the extra ``ray``."""
    port = free_port()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # dagster-ray starts steps as `dagster api execute_step`
    environment = {**os.environ, "PATH": path, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    command, pipe = [sys.executable, str(_PROGRAM), str(port)], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any(line.strip() == "ready" for line in lines)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.stdin.close()
            process.wait(timeout=120)
