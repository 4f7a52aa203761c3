"""Headless Chromium and the served pages, for tests that see what a person sees."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from reference.served_pages import Pages
from reference.servers import free_port

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
STOP_S = 300


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium of the system's; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe(pytestconfig):
    """axe-core's source, fetched by npm once into pytest's cache; the test is skipped where there is no npm or no registry."""
    folder = Path(pytestconfig.cache.mkdir("axe"))
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        if shutil.which("npm") is None:
            pytest.skip("no npm on this machine")
        done = subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--prefix", folder, "axe-core@4"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"npm cannot fetch axe-core: {done.stderr[-200:]}")
    return script.read_text(encoding="utf-8")


@pytest.fixture
def pages(tiny_home: Path) -> Iterator[Pages]:
    """Dagster's and MLflow's pages over a finished run, as `igsm ui` serves them; stopped with SIGTERM, which must end everything in order."""
    ports = [free_port(), free_port()]
    command = [sys.executable, "-m", "igsm_pipeline.cli", "ui", "--port", str(ports[0]), "--mlflow-port", str(ports[1])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        try:
            said = dict(line.split() for line in (process.stdout.readline() for _ in range(3)) if line)
            mlflow = said.get("MLflow", "").partition("/#")[0]
            assert (said.get("Dagster"), mlflow) == tuple(f"http://127.0.0.1:{port}" for port in ports), "see the lines above"
            yield Pages(said["Dagster"], said["MLflow"], process.pid, tiny_home)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=STOP_S) == 0
