"""The package installed by pip into an environment that holds nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from pathlib import Path

import pytest

import igsm_pipeline

CHECKOUT = Path(igsm_pipeline.__file__).parents[1]


def bare_environment() -> dict[str, str]:
    """This process's variables without those that lead to the checkout or to a data root."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("IGSM_", "DAGSTER_")) and name != "PYTHONPATH"}


def install(folder: Path, extra: str = "") -> Path:
    """Install the package and all it rests on, with the pinned versions, as a user would; skips the test where pip finds no packages.

    Args:
        folder: gets ``env``; the copy of the checkout that is installed is removed again.
        extra: an extra of the package.

    Returns:
        The environment's folder of programs.
    """
    source, programs = folder / "source", folder / "env" / "bin"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    shutil.copytree(CHECKOUT / "igsm_pipeline", source / "igsm_pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    venv.create(folder / "env", with_pip=True, symlinks=True)
    torch = next(line for line in (CHECKOUT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
    for words in ([torch], ["-c", str(CHECKOUT / "constraints.txt"), f".[{extra}]" if extra else "."]):
        command = [programs / "python", "-m", "pip", "install", "-q", *words]
        done = subprocess.run(command, cwd=source, env=bare_environment(), capture_output=True, text=True, check=False)
        if done.returncode and "No matching distribution" in done.stderr:
            pytest.skip(f"pip finds no packages here: {done.stderr.splitlines()[-1]}")
        assert done.returncode == 0, done.stderr[-3000:]
    shutil.rmtree(source)
    return programs
