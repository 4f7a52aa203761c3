"""Counts what a training pass computes and keeps, so that the formulas of plans can be held against it.

Ours: all of it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from igsm_pipeline.costs import BACKWARD, Network
from igsm_pipeline.training.one_graph import WindowLoss, head_rows


def operations(loss: WindowLoss, ids: Tensor) -> float:
    """Floating-point operations of the products of a forward and a backward pass, as torch counts them."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        torch.autograd.backward(loss(ids, ids))
    loss.model.zero_grad()
    return float(counter.get_total_flops())


def formula(network: Network, ids: Tensor) -> float:
    """The same by the formula of plans. torch counts attention over the whole square, so every position reads the whole window here."""
    return ids.numel() * (1 + BACKWARD) * network.forward(ids.shape[1], head=True)


def kept_numbers(loss: WindowLoss, ids: Tensor) -> float:
    """Numbers that the forward pass of the layers keeps for the backward pass; weights, and what the vocabulary keeps, are left out."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in loss.model.parameters()}
    number, kept = int(loss.model.config.vocab_size), dict[int, int]()
    vocabulary = {number, head_rows(number)}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and vocabulary.isdisjoint(tensor.shape) and tensor.is_floating_point():
            kept[storage.data_ptr()] = storage.nbytes() // tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss(ids, ids)
    return float(sum(kept.values()))
