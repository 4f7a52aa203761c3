"""Runs the checks of a stage, before anything downstream is computed.

The checks run on every route: ``igsm run``, Dagster's page, ``python -m igsm_pipeline.running run``. Outcomes are kept beside the store, under the
content of the stage's units and the text of the check. So nothing is checked twice, and a hit costs milliseconds. Whether files are intact is
checked every time.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict
from pathlib import Path

from igsm_pipeline.errors import StageFailed
from igsm_pipeline.settings import hash_json
from igsm_pipeline.stage import Check, Outcome, Stage, StageUnits, load_object
from igsm_pipeline.store import hash_unchanged, write_atomically

FILES_INTACT = Check("files_intact", "Every file has the size and time that its manifest states.", "igsm_pipeline.running.judging:files_intact")
CHECKS = ".checks"
"""The folder beside the store that keeps outcomes."""


def checks_of(stage: Stage) -> tuple[Check, ...]:
    """The checks of a stage: files intact, then its own."""
    return (FILES_INTACT, *stage.checks)


def files_intact(run: StageUnits) -> Outcome:
    """Every file of every unit has the size and the modification time that its manifest states."""
    broken = [f"{unit.name}: {reason}" for unit in run.units for reason in run.store.check(unit).reasons]
    files = sum(len(manifest["files"]) for manifest in run.manifests.values())
    return Outcome(not broken, "; ".join(broken) or f"{files} files agree with their manifests", {"files": files})


def judge(run: StageUnits) -> dict[Check, Outcome]:
    """Run every check of a stage.

    Args:
        run: the stage's units, all finished. There are none if the member has no such stage.
    """
    return {check: _outcome(check, run) for check in checks_of(run.stage)}


def stop_at_failures(outcomes: dict[Check, Outcome], stage: Stage) -> None:
    """Refuse to go on if a blocking check of a stage failed.

    Raises:
        StageFailed: it names the check, its rule and its outcome.
    """
    for check, outcome in outcomes.items():
        if check.blocking and not outcome.passed:
            raise StageFailed(f"{stage.name} failed its check {check.name}: {outcome.message}. {check.words} Nothing that reads it was computed")


def _outcome(check: Check, run: StageUnits) -> Outcome:
    if not run.units:
        return Outcome(True, "the member has no such stage")
    if check is FILES_INTACT:
        return files_intact(run)
    kept = run.store.root.parent / CHECKS / f"{run.stage.name}-{check.name}-{hash_json([run.content, _source(check.evaluate)])}.json"
    try:
        return Outcome(**json.loads(kept.read_text()))
    except (OSError, ValueError, TypeError):
        pass  # never checked, or not a file of ours: check now
    outcome: Outcome = load_object(check.evaluate)(run)
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, json.dumps(asdict(outcome)).encode())
    return outcome


def _source(path: str) -> str:
    """Hash of the source text of the module in a dotted path."""
    found = importlib.util.find_spec(path.partition(":")[0])
    file = Path((found.origin if found is not None else None) or __file__)
    return hash_unchanged(file)
