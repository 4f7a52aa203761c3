"""What is noted of trainings and registered models, in files beside MLflow's own; read without MLflow and without Dagster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from igsm_pipeline.planning.planner import Plan
from igsm_pipeline.store import Unit, find_home

TEST_SLICE = "op<=max"
"""The slice by which models compete."""


def mlflow_folder() -> Path:
    """The folder of MLflow's database, artifacts and our notes on runs."""
    return find_home() / "mlflow"


def judged_unit(units: Sequence[Unit]) -> Unit | None:
    """The verdicts on greedy solutions of op<=max; None if a member does not evaluate that slice."""
    for unit in units:
        if unit.stage == "verdicts" and unit.name.startswith(TEST_SLICE) and unit.inputs["generations"].settings.get("beam", 1) == 1:
            return unit
    return None


def registered_name(experiment: str) -> str:
    """Name of the registered model of an experiment."""
    return f"gpt2-rotary-{experiment}"


def registration_note(experiment: str, checkpoint: Unit, judged: Unit) -> Path:
    """The file that says what the registry did with a checkpoint, judged on a test set."""
    return mlflow_folder() / "registered" / registered_name(experiment) / f"{checkpoint.fingerprint}-{judged.inputs['problems'].fingerprint}.json"


def lacks_registration(plan: Plan) -> bool:
    """Whether a member could be registered and never was here: its units came from elsewhere, or were computed without Dagster."""
    judged = judged_unit(plan.units)
    if judged is None:
        return False
    checkpoint = next(unit for unit in plan.units if unit.stage == "checkpoint")
    return not registration_note(plan.member.experiment, checkpoint, judged).is_file()
