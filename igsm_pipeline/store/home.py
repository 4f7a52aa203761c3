"""Where the data lies: one folder, the data root, found by a variable or from the working folder, and refused at once where it cannot work."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from igsm_pipeline.errors import BadSettings, NotFound

HOME = "IGSM_HOME"
PROJECT_FILE = "dagster.yaml"
DATA = "data"
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_ODD = set("?*[\\")
_INVISIBLE = {"Cc", "Cs", "Zl", "Zp"}


def find_home() -> Path:
    """The data root: ``IGSM_HOME``, else ``data/`` of the nearest project upwards. It need not exist yet.

    Raises:
        NotFound: neither is there.
        BadSettings: its path cannot be a data root, or it is the project's folder instead of its data folder.
    """
    named = os.environ.get(HOME)
    if named:
        home = Path(named).expanduser().resolve()
        check_home(home, HOME)
        return home
    project = find_project()
    if project is None:
        raise NotFound(
            f"no data root: {HOME} is not set and no {PROJECT_FILE} lies in {Path.cwd()} or above; begin a project here with `igsm init`, set {HOME}"
            " or change folder"
        )
    home = project / DATA
    check_home(home, "the project's folder")
    return home


def find_project() -> Path | None:
    """The nearest folder with a dagster.yaml, from the working folder upwards; None where there is none."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / PROJECT_FILE).is_file()), None)


def check_home(home: Path, field: str) -> None:
    """Refuse what cannot be a data root.

    Ours: Dagster and MLflow name their SQLite files by address, in which a question mark ends the path and a percent sign with two hexadecimal digits
    stands for another character; Dagster looks for its settings by a pattern, in which *, ? and [ stand for other characters; DuckDB takes a
    backslash for a slash. Whatever else the file system allows works.

    Args:
        home: the folder, absolute.
        field: where its name comes from, for the message.

    Raises:
        BadSettings: such a name, a file where the folder should be, or a project's folder.
    """
    name = str(home)
    odd = next((one for one in name if one in _ODD or unicodedata.category(one) in _INVISIBLE), None)
    escape = _ESCAPE.search(name)
    if odd or escape:
        got = odd or (escape.group() if escape else "")
        raise BadSettings(
            field,
            "must be a path without ?, *, [, backslashes, control characters and percent codes (Dagster, MLflow or DuckDB would look elsewhere)",
            f"{got!a} in {name!a}".replace("\\\\", "\\"),
            "rename the folder",
        )
    if home.exists() and not home.is_dir():
        raise BadSettings(field, "must be a folder", name, "name the folder that holds the data, or one that does not exist yet")
    if (home / PROJECT_FILE).is_file() and ((home / DATA / "store").is_dir() or not (home / "store").is_dir()):
        raise BadSettings(field, "must be the data folder of a project, not the project's own", name, f"set it to {home / DATA}")
