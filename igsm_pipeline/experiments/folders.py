"""The folders of experiment files, and which folders a data root has units of."""

from __future__ import annotations

import json
import os
from pathlib import Path

from igsm_pipeline.errors import BadSettings, NotFound
from igsm_pipeline.store import find_home, locked, write_atomically

BUILTIN = Path(__file__).parent / "builtin"
KNOWN = ".experiment_folders.json"
"""A file of the data root: a JSON list of the folders whose experiments have been run there."""


def experiment_folders() -> list[Path]:
    """The folders of experiment files: the built-in one, then the user's (``IGSM_EXPERIMENTS``, else ``<data root>/experiments``).

    Raises:
        BadSettings: IGSM_EXPERIMENTS is not a folder.
    """
    named = os.environ.get("IGSM_EXPERIMENTS")
    if named:
        folder = Path(named).expanduser()
        if not folder.is_dir():
            raise BadSettings("IGSM_EXPERIMENTS", "must be a folder of experiment files", named, "create it or unset the variable")
        return [BUILTIN, folder]
    try:
        folder = find_home() / "experiments"
    except NotFound:
        return [BUILTIN]
    return [BUILTIN, folder] if folder.is_dir() else [BUILTIN]


def remember_folder(home: Path, folder: Path) -> None:
    """Remember that experiments of a folder are run in a data root, so that their units are not removed as garbage while another folder is in use."""
    path = folder.resolve()
    if path in (BUILTIN.resolve(), (home / "experiments").resolve()) or path in _read(home):
        return
    with locked(home / f"{KNOWN}.lock"):
        write_atomically(home / KNOWN, (json.dumps(sorted({str(one) for one in (*_read(home), path)}), indent=1) + "\n").encode())


def known_folders(home: Path) -> list[Path]:
    """The user's folders whose experiments may have units in a data root: the current one, the data root's own, and remembered ones."""
    found = dict.fromkeys(path.resolve() for path in (*experiment_folders(), home / "experiments", *_read(home)))
    return [path for path in found if path.is_dir() and path != BUILTIN.resolve()]


def gone_folders(home: Path) -> list[Path]:
    """Remembered folders that are not there now: removed, renamed, or on a disk that is not mounted."""
    return [path for path in _read(home) if not path.is_dir()]


def _read(home: Path) -> list[Path]:
    try:
        value = json.loads((home / KNOWN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise BadSettings(str(home / KNOWN), "must be a JSON list of folders", str(error), "write [] into it") from None
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadSettings(str(home / KNOWN), "must be a JSON list of folders", value, "write [] into it")
    return [Path(one) for one in value]
