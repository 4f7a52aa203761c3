"""The program of the other processes of a training, which ``ranks.joined_by_others`` starts; it reads its work from standard input."""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from pathlib import Path

from igsm_pipeline.processes.stopping import leave
from igsm_pipeline.store import Writing
from igsm_pipeline.training.processes import Stopped
from igsm_pipeline.training.settings import CheckpointSettings
from igsm_pipeline.training.write import write_checkpoint


def main() -> None:
    """Train as one of the other processes; standard input holds the work as JSON."""
    work = json.load(sys.stdin)
    settings = CheckpointSettings.parse(work["settings"], "checkpoint")
    try:
        with contextlib.suppress(Stopped):  # the first process reports it
            write_checkpoint(settings, {role: Path(path) for role, path in work["inputs"].items()}, Writing(Path(work["folder"]), True))
    except Exception:
        traceback.print_exc()
        leave(1)  # at once: what else ends with Python waits for the other processes, who wait for this one


if __name__ == "__main__":
    main()
