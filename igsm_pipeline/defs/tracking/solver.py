"""Solves problems with a registered model: ``models:/gpt2-rotary-mini@champion``; the registry knows its family and world."""

from __future__ import annotations

import re

from igsm_pipeline.defs.tracking.notes import mlflow_folder
from igsm_pipeline.defs.tracking.runs import Tracking, has_database
from igsm_pipeline.errors import NotFound
from igsm_pipeline.store import Store
from igsm_pipeline.toolbox.completions import check_markers
from igsm_pipeline.toolbox.solver import Solver, trained_on

_URI = re.compile(r"models:/(?P<name>[^@/]+)(?:@(?P<alias>[^/]+)|/(?P<version>\d+))")


def find_registered(uri: str) -> Solver:
    """Find the model of a registry address.

    Raises:
        NotFound: the address has another form, or the registry has no such model.
        BadCheckpoint: its tokenizer lacks the markers of documents.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise NotFound(f"no model {uri!r}: must be models:/NAME@ALIAS or models:/NAME/VERSION, for example models:/gpt2-rotary-mini@champion")
    if not has_database():  # asking MLflow would make one, in a place that was only asked
        raise NotFound(f"no model {uri}: nothing is registered in {mlflow_folder().parent} yet; `igsm run` registers what it trains")
    client = Tracking().client()
    import mlflow  # noqa: PLC0415
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        if match["alias"]:
            version = client.get_model_version_by_alias(match["name"], match["alias"])
        else:
            version = client.get_model_version(match["name"], match["version"])
        parts = mlflow.transformers.load_model(uri, return_type="components")
    except MlflowException as error:
        names = ", ".join(sorted(model.name for model in client.search_registered_models())) or "none yet; `igsm run` registers what it trains"
        raise NotFound(f"no model {uri}: {error.message}; registered are {names}") from None
    check_markers(parts["tokenizer"], uri)
    family, world = trained_on(Store.at_home().root / "checkpoint" / str(version.tags.get("igsm.fingerprint")))
    return Solver(uri, parts["model"].eval(), parts["tokenizer"], family, world)
