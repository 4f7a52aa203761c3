"""The page of MLflow where people compare members: one row per training, its final accuracies and gains as columns, the best first.

MLflow 3 opens an experiment as one of language-model applications (traces, judges, prompts) unless its address says otherwise, and shows no metric as
a column until somebody picks it. So the experiment says in tags what it is and how its table looks, and ``addresses.members_path`` asks for both.

Ours: the columns, and the tag of a shared view, which MLflow's page writes itself when somebody shares one. A page that does not know it shows its
own table.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from igsm_pipeline.defs.tracking.addresses import MEMBERS, clean_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

COLUMNS = ("op<=max", "op=max", "op=max+1", "op=max+2", "reask", "gain nece op<=max", "gain can_next op<=max", "training_seconds")
"""Final metrics that are columns; the table is sorted by the first."""
_WORDS = (
    "One run per trained checkpoint: its settings, its curves, and what its member shows in the end (`final/`): the share of new problems solved "
    "with every step right, and how much more a V-probe tells than the same probe on random weights. `igsm ui` prints the address of the table."
)


def tag_experiment(client: MlflowClient, experiment: Experiment) -> None:
    """Let an experiment say what it is and how its members are compared; what it says already, a person's own words too, is left alone."""
    for key, value in _tags().items():
        if key not in experiment.tags:
            client.set_experiment_tag(experiment.experiment_id, key, value)


def _tags() -> dict[str, str]:
    columns = [f"metrics.`{clean_name(f'final/{name}')}`" for name in COLUMNS]
    view = {
        "orderByKey": columns[0],
        "orderByAsc": False,
        "searchFilter": "",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": ["attributes.`Created`", *columns],
    }
    return {"mlflow.experimentKind": "custom_model_development", "mlflow.note.content": _WORDS, f"mlflow.sharedViewState.{MEMBERS}": json.dumps(view)}
