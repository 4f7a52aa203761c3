"""Projects: a project is a folder with a dagster.yaml and the data beside it. ``igsm init`` makes one anywhere.

The two files that Dagster needs are part of the package, so a data root also works without a project.
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
    """The result of ``begin_project``: the project's folder, the data root, the files that it wrote, and those that it found."""

    folder: Path
    home: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]


def begin_project(folder: Path) -> Begun:
    """Make a folder a project: dagster.yaml, workspace.yaml and ``data/experiments/``. Existing files are not changed.

    Args:
        folder: the folder; it is made if it does not exist.

    Raises:
        BadInput: it is a file, or its name cannot be that of a data root (``BadSettings``).
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
    """A file that a project begins with, from the package: dagster.yaml or workspace.yaml."""
    return Path(str(importlib.resources.files(__package__) / name))


def project_file(root: Path, name: str) -> Path:
    """A project's file of that name, or else the package's own."""
    return root / name if (root / name).is_file() else shipped(name)
