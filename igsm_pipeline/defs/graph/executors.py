"""Where the steps of a run execute: in the run's own process, as jobs of a Ray cluster, or as pods of a Kubernetes cluster (docs/deploy.md).

Ours: an environment variable decides, so that the graph, its fingerprints and its results stay the same. All machines share the store. A step asks
for what its stage can use: cores if it can use several, a card if it computes with torch. So a card is never held by a step that writes a report.
"""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Mapping
from typing import Any

import dagster as dg

from igsm_pipeline.errors import BadSettings, install_extra
from igsm_pipeline.stage import Stage

RAY_ADDRESS, K8S_STEPS = "IGSM_RAY_ADDRESS", "IGSM_K8S_STEPS"
STEP_CPUS, STEP_GPUS = "IGSM_STEP_CPUS", "IGSM_STEP_GPUS"
PASSED_ON = (
    "DAGSTER_HOME", "IGSM_HOME", "IGSM_EXPERIMENTS", "IGSM_JOBS", "IGSM_MLFLOW_URL", "IGSM_UI_URL",
    RAY_ADDRESS, STEP_CPUS, STEP_GPUS, "PYTHONPATH", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MLFLOW_DISABLE_TELEMETRY", "HF_HUB_OFFLINE",
)  # fmt: skip
"""Environment variables of the run's process that a step on another machine needs, if they are set."""
_RENAMED = {"IGSM_RAY_CPUS": STEP_CPUS, "IGSM_RAY_GPUS": STEP_GPUS}
_ANSWERS_S = 10.0


def chosen_executor() -> dg.ExecutorDefinition:
    """Ray's executor if ``IGSM_RAY_ADDRESS`` is a cluster's dashboard ("http://127.0.0.1:8265"), Kubernetes' if ``IGSM_K8S_STEPS`` is 1, else steps
    in the run's process. What a step asks a cluster for, ``step_tags`` says.

    Raises:
        BadSettings: the executor is not installed, both are set, or a variable has no such value.
    """
    address, pods = os.environ.get(RAY_ADDRESS), os.environ.get(K8S_STEPS, "")
    if pods not in ("", "0", "1"):
        raise BadSettings(K8S_STEPS, "must be 1 for a pod per step, 0 or unset", pods, "correct it or unset it")
    if address and pods == "1":
        raise BadSettings(RAY_ADDRESS, f"must be unset where {K8S_STEPS} is 1: a step executes in one place", address, "unset one of them")
    if pods == "1":
        try:
            from dagster_k8s import k8s_job_executor  # noqa: PLC0415  (an extra)
        except ImportError:
            raise BadSettings(K8S_STEPS, "must be unset where dagster-k8s is not installed", pods, "pip install dagster-k8s") from None
        in_pods: dg.ExecutorDefinition = k8s_job_executor
        return in_pods
    if not address:
        return dg.in_process_executor
    try:
        from dagster_ray import ray_executor  # noqa: PLC0415  (an extra)
    except ImportError:
        raise BadSettings(RAY_ADDRESS, "must be unset where dagster-ray is not installed", address, install_extra("ray")) from None
    on_ray: dg.ExecutorDefinition = ray_executor.configured({"ray": {"address": address, "env_vars": list(PASSED_ON)}}, name="ray")
    return on_ray


def step_tags(stage: Stage | None) -> Mapping[str, Any]:
    """What the step of a stage asks a cluster for, as tags of its op; none where steps execute in the run's process.

    A stage that can use several cores asks for ``IGSM_STEP_CPUS`` (default 1), another for one. A stage that computes with torch asks for
    ``IGSM_STEP_GPUS`` cards (default 0), another for none.

    Args:
        stage: the stage; None for an asset that is none, such as the catalog.

    Raises:
        BadSettings: a variable is not a number, or has an earlier name.
    """
    for old, new in _RENAMED.items():
        if old in os.environ:
            raise BadSettings(old, f"is named {new} now, and counts for stages that can use it", os.environ[old], f"set {new} instead")
    cores, cards = _number(STEP_CPUS, 1.0), _number(STEP_GPUS, 0.0)
    cores = cores if stage is not None and (stage.torch or stage.parallel or stage.workers) else min(1.0, cores)
    cards = cards if stage is not None and stage.torch else 0.0
    if os.environ.get(RAY_ADDRESS):
        return {"dagster-ray/config": {"num_cpus": cores, "num_gpus": cards}}
    if os.environ.get(K8S_STEPS) == "1":
        resources: dict[str, dict[str, str]] = {"requests": {"cpu": f"{cores:g}"}}
        if cards:
            resources["limits"] = {"nvidia.com/gpu": f"{cards:g}"}
        return {"dagster-k8s/config": {"container_config": {"resources": resources}}}
    return {}


def check_cluster() -> None:
    """Refuse to go on without the Ray cluster that ``IGSM_RAY_ADDRESS`` names.

    Raises:
        BadSettings: the variable is not set, nothing answers there, or what Ray takes is not installed here.
    """
    address = os.environ.get(RAY_ADDRESS, "")
    if not address:
        raise BadSettings(RAY_ADDRESS, "must name the dashboard of a Ray cluster", address, f"export {RAY_ADDRESS}=http://127.0.0.1:8265")
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/api/version", timeout=_ANSWERS_S):
            pass
    except (OSError, ValueError) as error:
        raise BadSettings(
            RAY_ADDRESS, "must be the dashboard of a Ray cluster that answers", f"{address} ({error})", "start it, correct it, or use --on local"
        ) from None
    chosen_executor()


def _number(variable: str, default: float) -> float:
    text = os.environ.get(variable, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise BadSettings(variable, "must be a number that is not negative", text, "correct it or unset it")
    return value
