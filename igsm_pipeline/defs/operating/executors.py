"""Where the steps of a run execute: in the run's own process, or as jobs of a Ray cluster (docs/deploy.md).

Ours: an environment variable decides, so that the graph, its fingerprints and its results stay the same. All machines share the store.
"""

from __future__ import annotations

import os

import dagster as dg

from igsm_pipeline.errors import BadSettings

RAY_ADDRESS, RAY_CPUS, RAY_GPUS = "IGSM_RAY_ADDRESS", "IGSM_RAY_CPUS", "IGSM_RAY_GPUS"
PASSED_ON = (
    "DAGSTER_HOME", "IGSM_HOME", "IGSM_EXPERIMENTS", "IGSM_JOBS", "IGSM_MLFLOW_URL", "IGSM_UI_URL",
    RAY_ADDRESS, RAY_CPUS, RAY_GPUS, "PYTHONPATH", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MLFLOW_DISABLE_TELEMETRY", "HF_HUB_OFFLINE",
)  # fmt: skip
"""Environment variables of the run's process that a step on another machine needs, if they are set."""


def chosen_executor() -> dg.ExecutorDefinition:
    """Ray's executor if ``IGSM_RAY_ADDRESS`` is a cluster's dashboard ("http://127.0.0.1:8265"), else steps in the run's process.

    Each step asks the cluster for ``IGSM_RAY_CPUS`` (default 1) and ``IGSM_RAY_GPUS`` (default 0).

    Raises:
        BadSettings: dagster-ray is not installed, or a variable is not a number.
    """
    address = os.environ.get(RAY_ADDRESS)
    if not address:
        return dg.in_process_executor
    try:
        from dagster_ray import ray_executor  # noqa: PLC0415  (an extra)
    except ImportError:
        raise BadSettings(RAY_ADDRESS, "must be unset where dagster-ray is not installed", address, "pip install 'igsm_pipeline[ray]'") from None
    asked: dict[str, object] = {"address": address, "env_vars": list(PASSED_ON), "num_cpus": _number(RAY_CPUS, 1.0)}
    if _number(RAY_GPUS, 0.0):
        asked["num_gpus"] = _number(RAY_GPUS, 0.0)
    executor: dg.ExecutorDefinition = ray_executor.configured({"ray": asked}, name="ray")
    return executor


def _number(variable: str, default: float) -> float:
    text = os.environ.get(variable, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise BadSettings(variable, "must be a number that is not negative", text, "correct it or unset it")
    return value
