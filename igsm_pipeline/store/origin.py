"""Where a unit was computed: by which code, on which machine. No part of its content, only of what is told about it."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from igsm_pipeline.processes.pools import usable_cores

_CPUINFO = Path("/proc/cpuinfo")


def own_revision() -> str:
    """The commit of the checkout that this package lies in, with "+changes" where tracked files differ from it; "none" where it is installed."""
    return revision_of(Path(__file__).parent, Path(__file__).name) or "none"


def revision_of(folder: Path, tracked: str = ".") -> str | None:
    """The commit of a folder's checkout, with "+changes" where tracked files differ from it; None outside a checkout or without git.

    Args:
        folder: any folder of the checkout.
        tracked: a path in it that the checkout must hold, so that a folder which lies in somebody else's checkout is not taken for it.
    """

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", tracked)
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


@lru_cache(maxsize=1)
def code_origin() -> dict[str, str]:
    """The package's version and commit, as this process began with them; without a version where the package is not installed."""
    try:
        installed = {"version": version("igsm_pipeline")}
    except PackageNotFoundError:
        installed = {}
    return {**installed, "commit": own_revision()}


@lru_cache(maxsize=1)
def machine_origin() -> dict[str, str | int]:
    """Python, system, architecture, the processor's name, and the threads that numerical libraries may use."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    system: dict[str, str | int] = {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine()}
    return {**system, "processor": processor_name(), "threads": int(threads) if threads.isdigit() else usable_cores()}


def processor_name(cpuinfo: Path = _CPUINFO) -> str:
    """The processor as its maker calls it; what Python knows of it where the system has no such list.

    Args:
        cpuinfo: Linux's list of processors.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor() or platform.machine())
