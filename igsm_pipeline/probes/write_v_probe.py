"""The stage ``v_probes``: it trains the V-probe of one task on one model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from transformers import PreTrainedModel

from igsm_pipeline.activations.forward import freeze
from igsm_pipeline.errors import StageFailed
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.probes.control_task import answers_of
from igsm_pipeline.probes.convergence import curve_table
from igsm_pipeline.probes.files import CURVE, LOSSES, read_tokens
from igsm_pipeline.probes.settings import VProbeSettings
from igsm_pipeline.probes.v_probe import VProbe, save_probe
from igsm_pipeline.probes.v_training import train_v_probe
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.store import Writing


def write_v_probe(settings: VProbeSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Train one V-probe; write probe.safetensors, probe.json (sizes, settings, counts of the training labels) and losses.parquet.

    Where problems are held out, curve.parquet too: the score on them along the training.

    Args:
        settings: the task and how to train.
        inputs: folders: ``world``, ``model`` (a checkpoint or the control), and ``problems`` and ``queries`` to train on.
        writing: where the files go. A half-trained probe in its folder is trained further.

    Raises:
        StageFailed: there are no training queries.
    """
    tokens = read_tokens(settings.family, settings.tokens, inputs, inputs["model"], [settings.task])[settings.task]
    if not len(tokens):
        raise StageFailed("v_probes: there must be training queries, got none; draw more problems for the probes")
    num_classes = TASKS[settings.task].classes(settings.family.modulus)
    tokens = answers_of(settings.answers, tokens, task=settings.task, num_classes=num_classes, seed=settings.seed)
    device = pick_device(settings.device)
    model = freeze(load(inputs["model"])).to(device)
    label = " ".join((settings.task, settings.arm, *([settings.answers] if settings.answers != "true" else [])))
    train_into(settings, model, tokens, writing.folder, device=device, label=label)
    writing.counts.update(task=settings.task, training_queries=len(tokens), problems=len(tokens.problems), steps=settings.num_steps)


def train_into(settings: VProbeSettings, model: PreTrainedModel, tokens: QueryTokens, folder: Path, *, device: torch.device, label: str) -> VProbe:
    """Train a V-probe, or go on with a half-trained one, and write its files into a folder; see ``write_v_probe``.

    Args:
        settings: the task and how to train.
        model: the frozen model, on ``device``.
        tokens: the training queries, with the answers to be learned.
        folder: where the files go.
        device: where to train.
        label: name on the progress bar.
    """
    num_classes = TASKS[settings.task].classes(settings.family.modulus)
    trained = train_v_probe(settings, model, tokens, num_classes=num_classes, folder=folder, device=device, label=label)
    shares = np.bincount(tokens.label, minlength=num_classes).tolist()
    save_probe(trained.probe, folder, settings.task, label_counts=shares, settings=settings.canonical())
    if settings.held_out:
        asked = trained.curve.rows
        curve = curve_table(tokens.label[asked], tokens.problem[asked], trained.curve.answers, num_classes=num_classes)
        write_parquet(curve, folder / CURVE)
    write_parquet(pa.table({"step": np.arange(len(trained.losses)), "loss": trained.losses}), folder / LOSSES)
    return trained.probe
