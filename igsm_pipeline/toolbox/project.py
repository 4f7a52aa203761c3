"""A project: the folder whose dagster.yaml marks it, with the data beside it. ``igsm init`` begins one anywhere.

The two files that Dagster needs travel with the package, so that a data root works without any project, too.
"""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from pathlib import Path

from igsm_pipeline.errors import BadInput
from igsm_pipeline.store.home import DATA, PROJECT_FILE, check_home

WORKSPACE = "workspace.yaml"
EXPERIMENTS = "experiments"


@dataclass(frozen=True)
class Begun:
    """What ``begin_project`` did: the project's folder, the data root, and the files it wrote and those it found."""

    folder: Path
    home: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]


def begin_project(folder: Path) -> Begun:
    """Make a folder a project: dagster.yaml, workspace.yaml and ``data/experiments/``. What is there already is left as it is.

    Args:
        folder: made if need be.

    Raises:
        BadInput: it is a file, or its name can be no data root's (``BadSettings``).
    """
    folder = folder.resolve()
    if folder.exists() and not folder.is_dir():
        raise BadInput("folder", "must be a folder or not exist yet", str(folder), "name another")
    check_home(folder / DATA, "the project's folder")
    (folder / DATA / EXPERIMENTS).mkdir(parents=True, exist_ok=True)
    missing = [name for name in (PROJECT_FILE, WORKSPACE) if not (folder / name).exists()]
    for name in missing:
        (folder / name).write_bytes(shipped(name).read_bytes())
    return Begun(folder, folder / DATA, tuple(missing), tuple(name for name in (PROJECT_FILE, WORKSPACE) if name not in missing))


def shipped(name: str) -> Path:
    """A file of the package: the dagster.yaml or the workspace.yaml that a project begins with."""
    return Path(str(importlib.resources.files(__package__) / name))


def project_file(root: Path, name: str) -> Path:
    """A project's file of that name, else the package's own."""
    return root / name if (root / name).is_file() else shipped(name)
