"""What this machine is, and whether the pipeline can run on it."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from igsm_pipeline.errors import IgsmError
from igsm_pipeline.experiments.experiment import load_members
from igsm_pipeline.store import find_home, library_versions

PYTHONS = ((3, 11), (3, 13))
LEAST_FREE_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what it is, what was found, and whether that is good."""

    what: str
    found: str
    good: bool = True


def examine() -> list[Finding]:
    """Look at Python, libraries, the data root, the experiments and the accelerator; never raises for what is wrong with them."""
    version = sys.version_info[:2]
    checks: tuple[tuple[str, Callable[[], tuple[str, bool]]], ...] = (
        ("Python", lambda: (platform.python_version(), PYTHONS[0] <= version <= PYTHONS[1])),
        ("processor", lambda: (f"{os.cpu_count()} cores, {platform.machine()}", True)),
        ("libraries", lambda: (", ".join(f"{name} {number}" for name, number in library_versions().items()), True)),
        ("data root", _data_root),
        ("experiments", lambda: (f"{len(load_members())} members", True)),
        ("accelerator", _accelerator),
    )
    return list(_findings(checks))


def _findings(checks: tuple[tuple[str, Callable[[], tuple[str, bool]]], ...]) -> Iterator[Finding]:
    for what, look in checks:
        try:
            yield Finding(what, *look())
        except (IgsmError, ImportError, OSError) as error:
            yield Finding(what, str(error), good=False)


def _data_root() -> tuple[str, bool]:
    home = find_home()
    there = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    return f"{home}, {free / 1e9:.1f} GB free{'' if _writable(there) else ', not writable'}", free >= LEAST_FREE_BYTES and _writable(there)


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK)


def _accelerator() -> tuple[str, bool]:
    torch = importlib.import_module("torch")  # a second or two, and only this check needs it
    if torch.cuda.is_available():
        return ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())), True
    return "Apple GPU" if torch.backends.mps.is_available() else f"none; torch {torch.__version__} on the processor", True
