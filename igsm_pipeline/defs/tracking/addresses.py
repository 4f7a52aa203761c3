"""Addresses of MLflow's pages, and names as MLflow takes them."""

from __future__ import annotations

import os
import re

MLFLOW_URL = "IGSM_MLFLOW_URL"
"""Environment variable: the address of the user's own MLflow server, for links."""
MLFLOW_PATH = "/mlflow"
"""The path on Dagster's page that redirects to MLflow's page, whatever its port."""
MEMBERS = "members"
"""Key of the table of members among the views of the experiment."""
_TRAINING = "workflowType=machine_learning"
_NOT_IN_NAMES = re.compile(r"[^0-9A-Za-z_.\-/ :]")


def run_url(run_id: str, experiment_id: str, **_: object) -> str:
    """The address of a run in MLflow, relative to Dagster's page (``igsm ui``); a full address if ``IGSM_MLFLOW_URL`` names a server.

    Ours: it asks for the pages of model training; MLflow 3 shows those of language-model applications otherwise.
    """
    return f"{_server()}/#/experiments/{experiment_id}/runs/{run_id}?{_TRAINING}"


def model_url(name: str, version: str) -> str:
    """The address of a version of a registered model, likewise."""
    return f"{_server()}/#/models/{name}/versions/{version}"


def members_path(experiment_id: str) -> str:
    """The table of members (``members_view``), below the address of MLflow's server."""
    return f"/#/experiments/{experiment_id}/runs?{_TRAINING}&viewStateShareKey={MEMBERS}"


def clean_name(name: str) -> str:
    """A name that MLflow takes: "op<=max" becomes "op__max"."""
    return _NOT_IN_NAMES.sub("_", name)


def _server() -> str:
    return os.environ.get(MLFLOW_URL, MLFLOW_PATH).rstrip("/")
