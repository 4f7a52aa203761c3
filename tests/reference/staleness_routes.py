"""Every event of ``staleness_events`` by every route, one after another: ``python -m reference.staleness_routes`` prints JSON lines.

A process of its own, because Dagster's partitions are those of the data root (``IGSM_HOME``) that was there when the code location was loaded.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from reference.staleness_events import EVENTS, MEMBER, SILENT, TOY_STAGES, Event, declare, version_raised

from igsm_pipeline import cli
from igsm_pipeline.defs.operating.automation import AFTER_EVERY_STAGE, nightly_refresh, stale_members
from igsm_pipeline.defs.operating.instance import enter_home, open_instance
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.planning.planner import plan
from igsm_pipeline.running import __main__ as library
from igsm_pipeline.store import MANIFEST, Store


def main(home: Path) -> None:
    """Finish the member through Dagster, then let every event happen to it."""
    run_in_terminal()
    with open_instance() as instance:
        for event in (*EVENTS, SILENT):
            with changed_package(event.apply(home)):
                answers = {"status": by_status(event is SILENT), "schedule": by_schedule(instance), "sensor": by_sensor(instance)}
                answers |= {"library": computed_by_library(home), "run": computed_by(home, event)}
            print(json.dumps({"event": event.name, **answers}), flush=True)
            declare(home)


@contextlib.contextmanager
def changed_package(package: Path | None) -> Iterator[None]:
    """Use a copy of the project, in this process's plans and in its children, while the block runs."""
    here = Path.cwd()
    if package is not None:
        os.chdir(package)  # where ``python -m`` looks first
    try:
        with version_raised(STAGES["verdicts"]) if package is not None else contextlib.nullcontext():
            yield
    finally:
        os.chdir(here)


def by_status(deep: bool) -> list[str]:
    return plan(find_member(MEMBER), Store.at_home(), deep=deep).stale_stages


def by_schedule(instance: dg.DagsterInstance) -> list[str]:
    found = nightly_refresh(dg.build_schedule_context(instance=instance))
    return asked(found) if isinstance(found, list) else []


def by_sensor(instance: dg.DagsterInstance) -> list[str]:
    return asked(stale_members(dg.build_sensor_context(instance=instance)).run_requests or [])


def asked(requests: list[dg.RunRequest]) -> list[str]:
    names = {key.to_user_string() for request in requests for key in request.asset_selection or ()} - set(AFTER_EVERY_STAGE)
    return [stage for stage in STAGES if stage in names]


def computed_by_library(home: Path) -> list[str]:
    """What ``python -m igsm_pipeline.running run`` computes, on a copy of the store."""
    copy = home.parent / "copy"
    shutil.copytree(home, copy, ignore=shutil.ignore_patterns("mlflow", ".dagster"))
    os.environ["IGSM_HOME"] = str(copy)
    try:
        before = manifests(copy)
        with contextlib.redirect_stdout(sys.stderr):
            assert library.main(["run", MEMBER]) == 0
        return since(before, copy)
    finally:
        os.environ["IGSM_HOME"] = str(home)
        shutil.rmtree(copy)


def computed_by(home: Path, event: Event) -> list[str]:
    before = manifests(home)
    run_in_terminal(*(["--deep"] if event is SILENT else []))
    return since(before, home)


def run_in_terminal(*options: str) -> None:
    """``igsm run``, in this process."""
    with contextlib.redirect_stdout(sys.stderr):
        try:
            cli.main(["run", MEMBER, *options])
        except SystemExit as ended:
            if ended.code:
                raise RuntimeError(f"igsm run ended with {ended.code}") from ended


def manifests(home: Path) -> dict[str, int]:
    return {str(path): path.stat().st_ino for path in (home / "store").glob(f"*/*/{MANIFEST}")}


def since(before: dict[str, int], home: Path) -> list[str]:
    """Stages with a manifest that was written since; the member must be fresh now."""
    assert not plan(find_member(MEMBER), Store(home / "store")).stale
    new = {Path(path).parent.parent.name for path, inode in manifests(home).items() if before.get(path) != inode}
    return [stage for stage in STAGES if stage in new]


if __name__ == "__main__":
    assert {unit.stage for unit in units_of(find_member(MEMBER))} == set(TOY_STAGES)
    main(enter_home())
