"""Judging a stage: what must hold of it before anything downstream is worth computing.

A stage is judged whichever route computed it (``igsm run``, Dagster's page, ``python -m igsm_pipeline.running run``). What was found is kept
beside the store under the content of the stage's units and the text of the check, so that nothing is looked at twice and a hit costs
milliseconds; whether files are intact is looked at every time.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from igsm_pipeline.errors import StageFailed
from igsm_pipeline.settings import hash_json
from igsm_pipeline.stage import Check, Outcome, Stage, StageUnits, load_object
from igsm_pipeline.store import hash_file, write_atomically

FILES_INTACT = Check("files_intact", "Every file has the size and time that its manifest states.", "igsm_pipeline.running.judging:files_intact")
CHECKS = ".checks"
"""Folder beside the store where outcomes are kept."""


def checks_of(stage: Stage) -> tuple[Check, ...]:
    """The checks of a stage: files intact, then its own."""
    return (FILES_INTACT, *stage.checks)


def files_intact(run: StageUnits) -> Outcome:
    """Every file of every unit has the size and the modification time that its manifest states."""
    broken = [f"{unit.name}: {reason}" for unit in run.units for reason in run.store.check(unit).reasons]
    files = sum(len(manifest["files"]) for manifest in run.manifests.values())
    return Outcome(not broken, "; ".join(broken) or f"{files} files as their manifests state", {"files": files})


def judge(run: StageUnits) -> dict[Check, Outcome]:
    """What each check of a stage finds.

    Args:
        run: the stage's units, all finished; a member may do without the stage.
    """
    return {check: _outcome(check, run) for check in checks_of(run.stage)}


def stop_at_failures(outcomes: dict[Check, Outcome], stage: Stage) -> None:
    """Refuse to go on past a stage that a blocking check found wanting.

    Raises:
        StageFailed: names the check, its rule and what it found.
    """
    for check, outcome in outcomes.items():
        if check.blocking and not outcome.passed:
            raise StageFailed(f"{stage.name} failed its check {check.name}: {outcome.message}. {check.words} Nothing that reads it was computed")


def _outcome(check: Check, run: StageUnits) -> Outcome:
    if not run.units:
        return Outcome(True, "the member does without this stage")
    if check is FILES_INTACT:
        return files_intact(run)
    kept = run.store.root.parent / CHECKS / f"{run.stage.name}-{check.name}-{hash_json([run.content, _source(check.evaluate)])}.json"
    try:
        return Outcome(**json.loads(kept.read_text()))
    except (OSError, ValueError, TypeError):
        pass  # never looked at, or a file that is none of ours: look
    outcome: Outcome = load_object(check.evaluate)(run)
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, json.dumps(asdict(outcome)).encode())
    return outcome


def _source(path: str) -> str:
    """Hash of the text of the module that a dotted path names."""
    found = importlib.util.find_spec(path.partition(":")[0])
    file = Path((found.origin if found is not None else None) or __file__)
    return _hash(file, file.stat().st_mtime_ns)


@lru_cache
def _hash(path: Path, _mtime_ns: int) -> str:
    return hash_file(path)
