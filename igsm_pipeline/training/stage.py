"""The stage ``checkpoint`` as declared."""

from __future__ import annotations

from igsm_pipeline.costs import (
    BACKWARD,
    STATE_COPIES,
    STATES,
    TRAINING,
    TRAINING_PASS,
    document_tokens,
    mean_op,
    network_of,
    parameters_of,
    problems_behind,
    window_fill,
)
from igsm_pipeline.stage import Check, Read, Stage
from igsm_pipeline.store import Unit
from igsm_pipeline.training.settings import CheckpointSettings
from igsm_pipeline.training.snapshots import snapshot_steps


def training_tokens(unit: Unit, fill: float | None = None) -> int:
    """Tokens that a training sees, without padding; 0 for a foreign checkpoint.

    Args:
        unit: a checkpoint.
        fill: share of real tokens in a window, if the shards have been counted; None: the share that the family is expected to have.
    """
    shards, training = unit.inputs.get("shards"), unit.settings.get("training")
    windows = shards.settings if shards is not None else unit.settings.get("stream")
    if not training or not windows:
        return 0
    document = document_tokens(unit.settings["tokens"], mean_op(unit.settings))
    share = window_fill(windows, document) if fill is None else fill
    return round(int(training["num_steps"]) * int(training["batch_windows"]) * int(windows["window"]) * share)


def _work(unit: Unit) -> float:
    """Operations of a forward and a backward pass over every token, and of the monitor's solutions, whose tokens cost ten times as much."""
    network, training = network_of(unit), unit.settings.get("training")
    if not training:
        return float(network.parameters)
    document = document_tokens(unit.settings["tokens"], mean_op(unit.settings))
    trained = training_tokens(unit) * (1 + BACKWARD) * network.forward(document / 2, head=True)
    every = int(training["accuracy_every_steps"])
    looks = int(training["num_steps"]) // every + 1 if every else 0
    return trained + looks * problems_behind(unit) * document * 10 * network.forward(document / 2, head=True)


def _memory(unit: Unit) -> float:
    """Bytes of weights, gradients and two moments in fp32, of a copy for mixed precision, and of what one forward pass keeps."""
    network, training = network_of(unit), unit.settings.get("training")
    if not training:
        return float(network.bytes)
    vocabulary = network.parameters - 12 * network.layers * network.width**2
    return 18.0 * network.parameters + network.kept(TRAINING_PASS, training["precision"]) + 10.0 * TRAINING_PASS * vocabulary / network.width


def _disk(unit: Unit) -> float:
    network = network_of(unit)
    training = unit.settings.get("training") or {}
    kept = len(snapshot_steps(int(training["num_steps"]), training.get("snapshots", 0))) if training else 0
    return network.bytes * (1.0 + kept + (STATE_COPIES * STATES if parameters_of(unit.settings) else 0))


def _cards(unit: Unit) -> int:
    """As many as there are processes; all that are free if their number follows from the cards, or a card is named by its number."""
    training = unit.runtime.get("training") or {}
    return int(training.get("processes", 0)) if training.get("device", "auto") in ("auto", "cuda") else 0


STAGE = Stage(
    name="checkpoint",
    version=2,
    settings=CheckpointSettings,
    write="igsm_pipeline.training.write:write_checkpoint",
    group="model",
    kinds=("pytorch", "huggingface"),
    words="GPT-2 with rotary positions, trained from scratch on fresh problems; the share of fully correct solutions per op is measured meanwhile.",
    reads=(Read("world"), Read("monitor", "problem_sets"), Read("shards", "token_shards")),
    checks=(Check("checkpoint_loads", "Weights are readable and finite.", "igsm_pipeline.model.checks:checkpoint_loads"),),
    disk=_disk,
    work=_work,
    arithmetic=TRAINING,
    memory=_memory,
    sizes=("resumed_step",),
    plots="igsm_pipeline.reports.stage_plots:checkpoint",
    torch=True,
    cards=_cards,
)
