"""What a member shows in the end, on the MLflow run of its training: final metrics to sort and plot by, data sets, the report, the model's card."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from igsm_pipeline.defs.tracking.addresses import clean_name
from igsm_pipeline.defs.tracking.notes import mlflow_folder
from igsm_pipeline.defs.tracking.runs import Tracking, read_note
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.store import Store, Unit, write_atomically

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

DIGEST = 36
"""Characters of a digest that MLflow takes."""
_LOG = logging.getLogger(__name__)


def send_results(tracking: Tracking, member: str) -> bool:
    """Send a finished member's final metrics, data sets, report and card to the MLflow run of its training, once per report.

    MLflow only shows what the store has: if it cannot be written, this warns and the member is as finished as before.

    Args:
        tracking: the MLflow to use.
        member: key of the member.

    Returns:
        Whether anything was sent.
    """
    units, store = units_of(find_member(member)), Store.at_home()
    report = next((unit for unit in units if unit.stage == "report"), None)
    note = read_note(next(unit for unit in units if unit.stage == "checkpoint"))
    if report is None or not note:
        return False
    sent = mlflow_folder() / "results" / report.fingerprint
    content = str(store.manifest(report)["content"])
    if sent.is_file() and sent.read_text() == content:
        return False
    try:
        _send(tracking, member, note["run_id"], store.path(report) / "report.html", dict(final_metrics(units, store)))
    except Exception as error:  # any fault of MLflow or its database
        _LOG.warning("MLflow does not take the results of %s (%s); they are in the store", member, error)
        return False
    sent.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(sent, content.encode())
    return True


def final_metrics(units: list[Unit], store: Store) -> Iterator[tuple[str, float]]:
    """Names and values: ``final/SLICE`` (share of fully correct solutions, greedy), ``final/redundancy SLICE`` (unnecessary parameters per correct
    solution), ``final/gain TASK SLICE`` (balanced accuracy of the V-probe minus that of its control) and ``final/training_seconds``."""
    from igsm_pipeline.probes.stage import METRICS  # noqa: PLC0415  (keeps the code location light)
    from igsm_pipeline.reports.findings import finished_verdicts  # noqa: PLC0415
    from igsm_pipeline.reports.paper_rows import accuracy_rows, whole_scores  # noqa: PLC0415
    from igsm_pipeline.toolbox.publishing import rows_of  # noqa: PLC0415

    done = [unit for unit in units if store.check(unit).fresh]
    for unit in done:
        if unit.stage == "checkpoint":
            yield "final/training_seconds", float(store.manifest(unit)["seconds"])
    for row in accuracy_rows(finished_verdicts(units, store)):
        if row.beams == 1:
            yield clean_name(f"final/{row.slice}"), row.correct.value
            if row.correct.hits:
                yield clean_name(f"final/redundancy {row.slice}"), row.extra_parameters.value
    for (task, part, probe), score in whole_scores(rows_of(METRICS, done, store)).items():
        if probe == "v_probe" and score["balanced_accuracy_gain"] is not None:
            yield clean_name(f"final/gain {task} {part}"), float(score["balanced_accuracy_gain"])


def data_sets(units: list[Unit], store: Store) -> list[DatasetInput]:
    """The finished problem sets and token shards of a member as MLflow's data sets: named, known by their content, with their counts.

    The context is ``training`` for what the model was trained on, ``probing`` for problems of probes, ``evaluation`` for slices.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: PLC0415

    found = []
    for unit in units:
        if unit.stage not in ("problem_sets", "token_shards") or not store.check(unit).fresh:
            continue
        manifest = store.manifest(unit)
        split = unit.settings.get("split", "train")
        context = "evaluation" if split == "test" else "probing" if unit.name.startswith("probe") else "training"
        place, counts = json.dumps({"uri": store.path(unit).as_uri()}), json.dumps(dict(manifest["counts"]))
        dataset = Dataset(f"{unit.stage} {unit.name}", str(manifest["content"])[:DIGEST], "local", place, profile=counts)
        found.append(DatasetInput(dataset, [InputTag("mlflow.data.context", context)]))
    return found


def _send(tracking: Tracking, member: str, run_id: str, report: Path, metrics: dict[str, float]) -> None:
    from igsm_pipeline.toolbox.publishing import card_of  # noqa: PLC0415  (keeps the code location light)

    client = tracking.client()
    for name, value in metrics.items():
        client.log_metric(run_id, name, value)
    found, store = find_member(member), Store.at_home()
    client.log_inputs(run_id, data_sets(units_of(found), store))
    client.set_tag(run_id, "mlflow.note.content", found.settings.title or member)
    client.log_artifact(run_id, str(report), "report")
    client.log_text(run_id, card_of(found, store), "report/model_card.md")
