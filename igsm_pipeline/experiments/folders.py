"""Where experiment files lie, and the folders whose experiments a data root holds units of."""

from __future__ import annotations

import json
import os
from pathlib import Path

from igsm_pipeline.errors import BadSettings, NotFound
from igsm_pipeline.store import find_home, locked, write_atomically

BUILTIN = Path(__file__).parent / "builtin"
KNOWN = ".experiment_folders.json"
"""A file of the data root: the folders of all experiments that were run there, as a JSON list of paths."""


def experiment_folders() -> list[Path]:
    """Where experiment files lie: the built-in ones, then the user's (``IGSM_EXPERIMENTS``, else ``<data root>/experiments``).

    Raises:
        BadSettings: IGSM_EXPERIMENTS names no folder.
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
    """Note that experiments of a folder are run in a data root, so that their units are not taken for garbage when another folder is in use."""
    path = folder.resolve()
    if path in (BUILTIN.resolve(), (home / "experiments").resolve()) or path in _read(home):
        return
    with locked(home / f"{KNOWN}.lock"):
        write_atomically(home / KNOWN, (json.dumps(sorted({str(one) for one in (*_read(home), path)}), indent=1) + "\n").encode())


def known_folders(home: Path) -> list[Path]:
    """The user's folders whose experiments may have units in a data root: those in use, its own, those remembered."""
    found = dict.fromkeys(path.resolve() for path in (*experiment_folders(), home / "experiments", *_read(home)))
    return [path for path in found if path.is_dir() and path != BUILTIN.resolve()]


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
