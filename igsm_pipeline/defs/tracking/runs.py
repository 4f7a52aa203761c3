"""Sends trainings to MLflow: one run per checkpoint, with its settings and its curves.

Training only writes JSON lines into its folder; this module reads them and sends them to MLflow in batches. MLflow's database and artifacts are
under the data root. mlflow is imported when a checkpoint is computed, not on a hit.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from igsm_pipeline.defs.operating.instance import project_root
from igsm_pipeline.defs.tracking.addresses import clean_name, run_url
from igsm_pipeline.defs.tracking.members_view import tag_experiment
from igsm_pipeline.defs.tracking.moves import move_artifacts
from igsm_pipeline.defs.tracking.notes import mlflow_folder
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.planner import plan
from igsm_pipeline.running.stage_runs import StageRun, run_stage
from igsm_pipeline.store import CLOCK, Store, Unit, locked, write_atomically
from igsm_pipeline.store.origin import revision_of
from igsm_pipeline.training.curves import METRICS, GrowingLines, ops_of, read_metrics, slices_of, with_pace

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE = "mlflow.db"
_LOG = logging.getLogger(__name__)
_BATCH, _PARAMS = 1000, 100
"""Metric values and parameters that MLflow takes at once."""


class Tracking(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The project's MLflow: an SQLite database and an artifact folder under the data root.

    Attributes:
        experiment: MLflow experiment that collects the runs of all members.
    """

    experiment: str = "igsm"

    def client(self) -> MlflowClient:
        """A client of the tracking database. The database is created if it is missing, under a lock, and follows a moved data root."""
        quiet_mlflow()
        folder = mlflow_folder()
        with locked(folder / ".lock"):
            import mlflow  # noqa: PLC0415  (two seconds, needed only when there is something to log)

            mlflow.set_tracking_uri(database_uri())
            client = mlflow.MlflowClient(database_uri())
            own, artifacts = client.get_experiment_by_name(self.experiment), (folder / "artifacts").as_uri()
            if own is None:
                own = client.get_experiment(client.create_experiment(self.experiment, artifact_location=artifacts))
            elif own.artifact_location != artifacts:
                move_artifacts(folder / DATABASE, own.artifact_location, artifacts)
            tag_experiment(client, own)
        return client

    def experiment_id(self, client: MlflowClient) -> str:
        """The id of the project's MLflow experiment."""
        return str(client.get_experiment_by_name(self.experiment).experiment_id)

    @contextmanager
    def following(self, unit: Unit, member: str, tags: Mapping[str, str]) -> Iterator[Curves]:
        """An MLflow run for a checkpoint during its training: settings first, then curves, the status at the end.

        Args:
            unit: the unit of the checkpoint; an interrupted training continues its MLflow run.
            member: key of the member.
            tags: more tags, such as the id of the Dagster run.

        Yields:
            The curves; call ``tick`` from time to time.
        """
        client = self.client()
        curves = Curves.resume(client, unit)
        if curves is None:
            run = client.create_run(self.experiment_id(client), run_name=member)
            curves = Curves(client, unit, run.info.run_id, run.info.experiment_id)
            curves.describe({"member": member, "fingerprint": unit.fingerprint, "git_revision": git_revision(), **tags})
        try:
            yield curves
        except BaseException as error:
            curves.tick()
            curves.end("FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        curves.end("FINISHED")


class Curves:
    """Sends the metrics file of one checkpoint to MLflow.

    Attributes:
        run_id: the MLflow run.
        experiment_id: its MLflow experiment.
        step: the last step that MLflow has.
    """

    def __init__(self, client: MlflowClient, unit: Unit, run_id: str, experiment_id: str, step: int = -1) -> None:
        self.client, self.unit, self.run_id, self.experiment_id, self.step = client, unit, run_id, experiment_id, step
        self._sent: set[tuple[int, str]] = set()
        self._waiting: dict[tuple[int, str], dict[str, Any]] = {}
        self._paces: dict[int, dict[str, Any]] = {}
        self._metrics, self._clock = GrowingLines(), GrowingLines()

    @classmethod
    def resume(cls, client: MlflowClient, unit: Unit) -> Curves | None:
        """The curves of an earlier, interrupted attempt at this unit, if its files are still there."""
        note = read_note(unit)
        if not note:
            return None
        curves = cls(client, unit, **note)
        rows = read_metrics(curves.folder())
        curves._sent = {_key(row) for row in rows if row["step"] <= curves.step}
        return curves if rows else None

    def folder(self, *, finished: bool = False) -> Path:
        """Where training writes its rows: the folder of the unfinished or of the finished unit."""
        final = Store.at_home().path(self.unit)
        return final if finished else final.with_name(final.name + ".partial")

    def describe(self, tags: Mapping[str, str]) -> None:
        """Log the unit's settings as parameters, and the tags."""
        from mlflow.entities import Param, RunTag  # noqa: PLC0415

        params = [Param(clean_name(name), str(value)[:500]) for name, value in flatten(self.unit.settings)]
        self.client.log_batch(self.run_id, tags=[RunTag(f"igsm.{name}", value) for name, value in tags.items()])
        for first in range(0, len(params), _PARAMS):
            self.client.log_batch(self.run_id, params=params[first : first + _PARAMS])
        self._note()

    def tick(self) -> None:
        """Like ``push``, but if the tracking database cannot be written it only warns; the training goes on."""
        try:
            self.push()
        except Exception as error:  # any fault of MLflow or its database; the curves are on disk and are sent at the end
            _LOG.warning("MLflow takes no curves for now (%s); training goes on", error)

    def end(self, status: str) -> None:
        """Send what is left of a finished training and set the run's status; if the database cannot be written it warns: the checkpoint is whole."""
        try:
            if status == "FINISHED":
                self.push(finished=True)
            self.client.set_terminated(self.run_id, status)
        except Exception as error:  # as in ``tick``
            _LOG.warning("MLflow does not take the end of run %s (%s); the curves stay with the checkpoint in the store", self.run_id, error)

    def push(self, *, finished: bool = False) -> int:
        """Send the rows that training has written since the last call.

        Returns:
            The number of metric values sent.
        """
        from mlflow.entities import Metric  # noqa: PLC0415

        now = int(time.time() * 1000)
        folder = self.folder(finished=finished)
        self._waiting |= {_key(row): row for row in self._metrics.read(folder / METRICS)}  # before the clock, where a step is written first
        self._paces |= {row["step"]: row for row in self._clock.read(folder / CLOCK)}
        rows = [with_pace(row, self._paces) for key, row in self._waiting.items() if key not in self._sent]
        metrics = [Metric(name, value, now, row["step"]) for row in rows for name, value in metric_values(row)]
        for first in range(0, len(metrics), _BATCH):
            self.client.log_batch(self.run_id, metrics=metrics[first : first + _BATCH])
        for row in rows:
            if "warning" in row:
                self.client.set_tag(self.run_id, f"igsm.warning.step {row['step']}", row["warning"][:500])
        if rows:
            self._sent |= {_key(row) for row in rows}
            self.step = max(self.step, *(row["step"] for row in rows))
            self._note()
        self._waiting = {}
        return len(metrics)

    def _note(self) -> None:
        path = _note_path(self.unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps({"run_id": self.run_id, "experiment_id": self.experiment_id, "step": self.step}).encode())


def metric_values(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of one line of metrics.jsonl by MLflow name; accuracy gives a curve per op and slice ("accuracy/op 03", "accuracy/reask")."""
    for name, value in row.items():
        if name == "accuracy":
            for op, share in ops_of(row).items():
                yield f"accuracy/op {op:02d}", share
        elif name == "slices":
            for part, share in slices_of(row).items():
                yield clean_name(f"accuracy/{part}"), share
        elif name != "step" and isinstance(value, int | float):
            yield clean_name(name), float(value)


def _key(row: Mapping[str, Any]) -> tuple[int, str]:
    return int(row["step"]), next((kind for kind in ("accuracy", "warning") if kind in row), "loss")


def train(tracking: Tracking, member: str, tags: Mapping[str, str]) -> tuple[StageRun, dict[str, Any]]:
    """Bring a member's checkpoint up to date, and send its curves to MLflow.

    Args:
        tracking: the MLflow that gets them.
        member: key of the member.
        tags: more tags for the MLflow run.

    Returns:
        The stage run, and metadata with links to the MLflow run.
    """
    planned = plan(find_member(member), Store.at_home(), ["checkpoint"])
    if not planned.units or (not planned.stale and read_note(planned.units[0])):
        run = run_stage(member, "checkpoint")
    else:
        with tracking.following(planned.units[0], member, tags) as curves:
            run = run_stage(member, "checkpoint", on_tick=curves.tick)
    notes = [note for note in map(read_note, run.units) if note]
    links = {"MLflow run": dg.MetadataValue.url(run_url(**notes[0])), "MLflow run id": notes[0]["run_id"]} if notes else {}
    return run, links


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings by path: ``{"a": {"b": 1}}`` gives ``("a.b", 1)``."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def quiet_mlflow() -> None:
    """Set the variables that keep mlflow and the model hub from calling home, for this process and its children."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def has_database() -> bool:
    """Whether anything was ever sent to MLflow from this data root."""
    return (mlflow_folder() / DATABASE).is_file()


def database_uri() -> str:
    """The tracking database, as MLflow names it."""
    return f"sqlite:///{mlflow_folder() / DATABASE}"


def read_note(unit: Unit) -> dict[str, Any]:
    """The MLflow run of a checkpoint (``run_id``, ``experiment_id``, ``step``), found without importing mlflow; empty if it has none."""
    path = _note_path(unit)
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def git_revision() -> str:
    """The commit of the project's folder ("unknown" outside a checkout); "+changes" is added if tracked files differ from it."""
    return revision_of(project_root()) or "unknown"


def _note_path(unit: Unit) -> Path:
    return mlflow_folder() / "runs" / f"{unit.fingerprint}.json"
