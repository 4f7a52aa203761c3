"""Dagster's own files, and opening them safely.

Ours: two processes that create the same SQLite files at once can break them for good, so the instance (and MLflow's
database) is created under a file lock. Relative folders in dagster.yaml count from the working folder, so every
process of the project changes to the project root first.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import yaml

import igsm_pipeline
from igsm_pipeline.errors import BadSettings
from igsm_pipeline.store import find_home, locked, write_atomically
from igsm_pipeline.store.home import DATA, PROJECT_FILE, find_project
from igsm_pipeline.toolbox.project import project_file

OWNER_TAG = "igsm/owner"
EXPERIMENTS = "IGSM_EXPERIMENTS"
_OWN_FOLDER = "data/.dagster"


def project_root() -> Path:
    """The folder that Dagster's processes start in: the nearest project upwards, else the checkout that this package was imported from, else the
    data root (of a package installed elsewhere).

    Raises:
        NotFound: there is neither a project nor a data root.
    """
    found = find_project()
    if found is not None:
        return found
    checkout = Path(igsm_pipeline.__file__).resolve().parent.parent
    return checkout if (checkout / PROJECT_FILE).is_file() else find_home()


def enter_home() -> Path:
    """Go to the project root and export ``IGSM_HOME`` and ``DAGSTER_HOME`` for this process and its children.

    A data root elsewhere (``IGSM_HOME``) gets a Dagster home of its own, so that nothing of it lands in the project.

    Returns:
        The data root, which then exists.
    """
    home = find_home()
    root = project_root()
    home.mkdir(parents=True, exist_ok=True)
    dagster_home = root
    if home != root / DATA:
        dagster_home = home / ".dagster"
        dagster_home.mkdir(exist_ok=True)
        text = moved_config(project_file(root, PROJECT_FILE).read_text(encoding="utf-8"), dagster_home)
        write_atomically(dagster_home / PROJECT_FILE, text.encode())
    os.environ["IGSM_HOME"] = str(home)
    os.environ["DAGSTER_HOME"] = str(dagster_home)
    if named := os.environ.get(EXPERIMENTS):
        os.environ[EXPERIMENTS] = str(Path(named).expanduser().absolute())
    os.chdir(root)
    return home


def moved_config(text: str, dagster_home: Path) -> str:
    """A dagster.yaml in which the folders ``data/.dagster`` are replaced by ``dagster_home``, whatever characters that path has.

    Raises:
        BadSettings: the text is not YAML.
    """

    def moved(value: object) -> object:
        if isinstance(value, dict):
            return {key: moved(one) for key, one in value.items()}
        if isinstance(value, list):
            return [moved(one) for one in value]
        if isinstance(value, str) and (value == _OWN_FOLDER or value.startswith(f"{_OWN_FOLDER}/")):
            return f"{dagster_home}{value.removeprefix(_OWN_FOLDER)}"
        return value

    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadSettings(PROJECT_FILE, "must be a YAML file", str(error).splitlines()[0], "correct the file") from None
    return yaml.safe_dump(moved(config), allow_unicode=True, sort_keys=False, width=10_000)


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
    """Tags for the runs that this process executes; during the block, a lock shows that their owner is alive."""
    owner = uuid.uuid4().hex
    path = _owner_lock(home, owner)
    with locked(path):
        try:
            yield {OWNER_TAG: owner}
        finally:
            path.unlink(missing_ok=True)


def close_dead_runs(instance: dg.DagsterInstance, home: Path) -> list[str]:
    """Mark runs as failed whose process died (kill -9, power cut), and free the pool slots that they held.

    Only runs tagged by ``owned_runs`` are examined; the daemon watches runs that the UI launched.

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
    """Finished runs that are older than some days and made no latest materialization.

    Dagster never removes what a run logged, and removing a run removes its materializations. So a run that made an asset's and member's latest one
    is kept, whatever its age; otherwise the asset pages and the nightly schedule would forget the member.
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
