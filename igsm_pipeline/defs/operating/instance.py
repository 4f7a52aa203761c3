"""Where Dagster keeps its own files, and how a process gets hold of them safely.

Ours: two processes that create the same SQLite files at once can break them for good, so the instance (and MLflow's
database) is created under a file lock. Relative folders in dagster.yaml count from the working folder, so every
process of the project goes to the project root first.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

import igsm_pipeline
from igsm_pipeline.errors import NotFound
from igsm_pipeline.store import find_home, locked, write_atomically

OWNER_TAG = "igsm/owner"


def project_root() -> Path:
    """The folder with dagster.yaml: the nearest one upwards, else the checkout that this package was imported from.

    Raises:
        NotFound: neither holds a dagster.yaml.
    """
    here = Path.cwd()
    checkout = Path(igsm_pipeline.__file__).resolve().parent.parent
    for folder in (here, *here.parents, checkout):
        if (folder / "dagster.yaml").is_file():
            return folder
    raise NotFound(f"no project root: no dagster.yaml lies in {here}, above it or in {checkout}; change to the project's folder")


def enter_home() -> Path:
    """Go to the project root and export ``IGSM_HOME`` and ``DAGSTER_HOME`` for this process and its children.

    A data root elsewhere (``IGSM_HOME``) gets a Dagster home of its own, so that nothing of it lands in the project.

    Returns:
        The data root, which then exists.
    """
    root = project_root()
    home = find_home()
    home.mkdir(parents=True, exist_ok=True)
    dagster_home = root
    if home != root / "data":
        dagster_home = home / ".dagster"
        dagster_home.mkdir(exist_ok=True)
        text = (root / "dagster.yaml").read_text().replace("data/.dagster", str(dagster_home))
        write_atomically(dagster_home / "dagster.yaml", text.encode())
    os.environ["IGSM_HOME"] = str(home)
    os.environ["DAGSTER_HOME"] = str(dagster_home)
    os.chdir(root)
    return home


def open_instance() -> dg.DagsterInstance:
    """The project's Dagster instance, created once, with the runs of dead processes closed.

    Call ``enter_home`` first.
    """
    home = find_home()
    with locked(home / ".dagster.lock"):
        instance = dg.DagsterInstance.get()
        instance.get_runs_count()
        instance.get_asset_keys(limit=1)
        close_dead_runs(instance, home)
    return instance


@contextmanager
def owned_runs(home: Path) -> Iterator[Mapping[str, str]]:
    """Tags for the runs that this process executes; while the block lasts, a lock says that their owner lives."""
    owner = uuid.uuid4().hex
    path = _owner_lock(home, owner)
    with locked(path):
        try:
            yield {OWNER_TAG: owner}
        finally:
            path.unlink(missing_ok=True)


def close_dead_runs(instance: dg.DagsterInstance, home: Path) -> list[str]:
    """Mark runs as failed whose process died without a word (kill -9, power cut), and free the pool slots they held.

    Only runs tagged by ``owned_runs`` are looked at; the daemon watches over those that the UI launched.

    Returns:
        Ids of the runs closed.
    """
    closed = []
    unfinished = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        if not run.tags.get(OWNER_TAG, "").isalnum():  # it becomes the name of a file
            continue
        path = _owner_lock(home, run.tags[OWNER_TAG])
        with locked(path, wait=False) as owner_is_dead:
            if owner_is_dead:
                instance.report_run_failed(run, message="the process that executed this run died; what it had finished is in the store")
                instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
                path.unlink(missing_ok=True)
                closed.append(run.run_id)
    return closed


def old_runs(instance: dg.DagsterInstance, days: float) -> list[dg.DagsterRun]:
    """Finished runs that are older than some days and are nobody's latest.

    Dagster never removes what a run logged, and removing a run removes its materializations. A run that made the latest materialization of any asset
    and member is therefore kept, whatever its age, so that neither the asset pages nor the nightly schedule forget a member.
    """
    kept: set[str] = set()
    for key in instance.get_asset_keys():
        seen: set[str | None] = set()
        cursor: str | None = None
        while True:
            page = instance.fetch_materializations(key, limit=1000, cursor=cursor)
            for record in page.records:
                if record.partition_key not in seen:
                    seen.add(record.partition_key)
                    kept.add(record.run_id)
            cursor = page.cursor
            if not page.has_more:
                break
    before = datetime.now(tz=UTC) - timedelta(days=days)
    finished = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    runs = instance.get_runs(dg.RunsFilter(statuses=finished, created_before=before))
    return [run for run in runs if run.run_id not in kept]


def remove_runs(days: float, *, yes: bool) -> int:
    """Remove old Dagster runs (see ``old_runs``), or only count them without ``yes``. Returns how many."""
    enter_home()
    with open_instance() as instance:
        runs = old_runs(instance, days)
        for run in runs if yes else ():
            instance.delete_run(run.run_id)
    return len(runs)


def _owner_lock(home: Path, owner: str) -> Path:
    return home / ".dagster" / "owners" / f"{owner}.lock"
