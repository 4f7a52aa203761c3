"""Muon orthogonalises, and takes the steps that torch's own takes."""

from __future__ import annotations

import torch
from torch import nn

from igsm_pipeline.training.muon import Muon, orthogonalised


def test_orthogonalised_matrices_keep_their_singular_vectors_and_have_singular_values_near_one() -> None:
    torch.manual_seed(1)
    for shape in ((3, 32, 32), (2, 64, 16), (2, 16, 64)):
        given = torch.randn(shape)
        u, _, vh = torch.linalg.svd(given, full_matrices=False)
        found = orthogonalised(given)
        aligned = u.mT @ found @ vh.mT
        values = torch.diagonal(aligned, dim1=1, dim2=2)
        assert (aligned - torch.diag_embed(values)).abs().max() < 1e-4
        assert values.max() < 1.3
        assert values.median() > 0.6


def test_steps_are_those_of_torch_to_the_rounding_of_bfloat16() -> None:
    torch.manual_seed(2)
    first = [nn.Parameter(torch.randn(shape)) for shape in ((24, 16), (24, 16), (16, 48))]
    second = [nn.Parameter(one.detach().clone()) for one in first]
    ours = Muon(first, lr=0.01, weight_decay=0.1, momentum=0.9)
    torchs = torch.optim.Muon(second, lr=0.01, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    start = [one.detach().clone() for one in first]
    for _ in range(4):
        for a, b in zip(first, second, strict=True):
            a.grad = torch.randn(a.shape)
            b.grad = a.grad.clone()
        ours.step()
        torchs.step()
    for a, b, old in zip(first, second, start, strict=True):
        assert (a - b).norm() < 0.02 * (a - old).norm()
