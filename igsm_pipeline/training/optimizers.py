"""AdamW or Muon over a model's parameters, and the learning-rate schedule.

Source: AdamW, warm-up and cosine. Ours: matrices and embeddings decay, biases and norms do not; Muon (``training.muon``) updates every matrix of
the layers. Its updates are scaled to AdamW's size, so that both use one learning rate.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from igsm_pipeline.training.muon import Muon
from igsm_pipeline.training.settings import TrainingSettings


def split_parameters(model: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """Parameters by name as (hidden matrices, embeddings, biases and norms); tied parameters appear once."""
    embeddings = {id(parameter) for module in model.modules() if isinstance(module, nn.Embedding) for parameter in module.parameters()}
    head = getattr(model, "get_output_embeddings", lambda: None)()
    if isinstance(head, nn.Module):
        embeddings |= {id(parameter) for parameter in head.parameters()}
    matrices: dict[str, nn.Parameter] = {}
    tables: dict[str, nn.Parameter] = {}
    vectors: dict[str, nn.Parameter] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        kind = tables if id(parameter) in embeddings and parameter.ndim == 2 else matrices if parameter.ndim == 2 else vectors
        kind[name] = parameter
    return matrices, tables, vectors


def make_optimizers(model: nn.Module, settings: TrainingSettings) -> list[torch.optim.Optimizer]:
    """One optimizer (AdamW) or two (Muon for the hidden matrices, AdamW for the rest)."""
    matrices, tables, vectors = split_parameters(model)
    muon = settings.optimizer == "muon"
    decayed = [*tables.values()] if muon else [*matrices.values(), *tables.values()]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": [*vectors.values()], "weight_decay": 0.0}]
    adamw = torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.learning_rate, betas=settings.betas, fused=True)
    if not muon or not matrices:
        return [adamw]
    return [
        Muon([*matrices.values()], lr=settings.learning_rate, weight_decay=settings.weight_decay, momentum=settings.muon_momentum),
        adamw,
    ]


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """The learning rate of a step, counted from 0: it rises linearly to the peak, then falls by a cosine to floor x peak in the last step.

    With several cycles each does so over its share of the steps.
    """
    length = settings.num_steps // settings.cycles
    step %= length
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    rest = max(1, length - 1 - settings.warmup_steps)
    part = min(1.0, (step - settings.warmup_steps) / rest)
    return settings.learning_rate * (settings.floor + (1 - settings.floor) * 0.5 * (1 + math.cos(math.pi * part)))


def set_learning_rate(optimizers: list[torch.optim.Optimizer], rate: float) -> None:
    """Set the learning rate of every optimizer."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
