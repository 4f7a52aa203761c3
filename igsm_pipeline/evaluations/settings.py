"""Which logs the stage ``llm_evaluations`` reads."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field

from igsm_pipeline.errors import BadSettings
from igsm_pipeline.settings import Settings, hash_json, runtime_field
from igsm_pipeline.store import hash_unchanged

FIELD = "llm_evaluations.logs"
_NAMED_BY_INSPECT = re.compile(r"\d{4}-\d{2}-\d{2}T.*\.json")
"""Names of Inspect's logs in JSON; other JSON files of its folders (listings, plans of sets) are no logs."""


class LogSettings(Settings):
    """A folder of Inspect's logs, known to the store by what the logs hold."""

    logs: str = runtime_field("", why="the logs' content stands for the folder")
    content: str = Field(pattern="^[0-9a-f]{20}$", description="hash of what the logs hold, whatever they are called")

    def files(self) -> list[Path]:
        """The logs.

        Raises:
            BadSettings: there is no such folder, it holds no log, or the logs have changed since they were planned.
        """
        found = log_files(Path(self.logs))
        if logs_hash(Path(self.logs)) != self.content:
            raise BadSettings(FIELD, f"must still hold logs of content {self.content}", self.logs, "plan again to use the logs as they are")
        return found


def log_files(folder: Path) -> list[Path]:
    """The logs of a folder: files named ``*.eval``, and JSON files named by time as Inspect names them.

    Raises:
        BadSettings: there is no such folder, or it holds no log.
    """
    if not folder.is_dir():
        raise BadSettings(FIELD, "must be a folder of Inspect's logs", str(folder), "name the folder that `inspect eval` wrote to")
    found = sorted(path for path in folder.iterdir() if path.is_file() and (path.suffix == ".eval" or _NAMED_BY_INSPECT.fullmatch(path.name)))
    if not found:
        raise BadSettings(FIELD, "must hold logs that Inspect wrote (*.eval)", str(folder), "run `inspect eval igsm_pipeline/igsm`, or name another")
    return found


def logs_hash(folder: Path) -> str:
    """Hash of what the logs of a folder hold, whatever they are called; raises what ``log_files`` raises."""
    return hash_json(sorted(map(hash_unchanged, log_files(folder))))
