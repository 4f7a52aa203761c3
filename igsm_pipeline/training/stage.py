"""The stage ``checkpoint``: a model trained from scratch."""

from __future__ import annotations

from igsm_pipeline.costs import STATE_COPIES, STATES, network_of, parameters_of
from igsm_pipeline.stage import Check, Read, Stage
from igsm_pipeline.store import Unit
from igsm_pipeline.training.settings import CheckpointSettings


def training_tokens(unit: Unit) -> int:
    """Tokens that a training sees, padding included; 0 for a foreign checkpoint."""
    shards, training = unit.inputs.get("shards"), unit.settings.get("training")
    windows = shards.settings if shards is not None else unit.settings.get("stream")
    return int(training["num_steps"]) * int(training["batch_windows"]) * int(windows["window"]) if training and windows else 0


def _disk(unit: Unit) -> float:
    network = network_of(unit)
    return network.bytes * (1.0 + (STATE_COPIES * STATES if parameters_of(unit.settings) else 0))


STAGE = Stage(
    name="checkpoint",
    version=2,
    settings=CheckpointSettings,
    write="igsm_pipeline.training.write:write_checkpoint",
    group="model",
    kinds=("pytorch", "huggingface"),
    words="GPT-2 with rotary positions, trained from scratch on fresh problems; fully-correct accuracy per op is watched while it learns.",
    reads=(Read("world"), Read("monitor", "problem_sets"), Read("shards", "token_shards")),
    checks=(Check("checkpoint_loads", "Weights are readable and finite.", "igsm_pipeline.model.checks:checkpoint_loads"),),
    disk=_disk,
    work=lambda unit: float(training_tokens(unit)) * max(1, parameters_of(unit.settings)),
    sizes=("resumed_step",),
    plots="igsm_pipeline.reports.stage_plots:checkpoint",
    torch=True,
)
