"""Linear probes: logistic (two classes) and multinomial classifiers on the states of one layer; the model stays as it is.

A fit minimises mean cross-entropy plus ``l2 / 2`` times the squared weights (biases are not penalised) on standardised features. L-BFGS sees the
whole batch at once, so there is no learning rate and no order of examples, and the minimum is unique.

Ours: linear probes are a baseline beside the paper's V-probes; they train no embedding. L-BFGS works in coordinates in which the objective curves
about equally in all directions. That does not move the minimum and saves nine of ten iterations, because the states of a transformer vary much
more in some directions than in others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from igsm_pipeline.errors import BadInput


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe for raw (not standardised) states: ``logits = states @ weight.T + bias``.

    Attributes:
        weight: shape (num_outputs, d_model); one output for two classes (the logit of label 1), else one per class.
        bias: shape (num_outputs,).
    """

    weight: Tensor
    bias: Tensor

    def predict(self, states: Tensor) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Predict the class of each state.

        Args:
            states: shape (num_states, d_model).

        Returns:
            Predicted classes and scores, shape (num_states,) each. The score is the probability of label 1 for two classes, and that of the
            predicted class for more.
        """
        logits = states.to(self.weight) @ self.weight.T + self.bias
        if logits.shape[1] == 1:
            positive = torch.sigmoid(logits[:, 0])
            return (logits[:, 0] > 0).long().cpu().numpy(), positive.cpu().numpy()
        best = torch.softmax(logits, 1).max(1)
        return best.indices.cpu().numpy(), best.values.cpu().numpy()

    def without(self, log_shares: NDArray[np.float64]) -> LinearProbe:
        """The probe that answers as if all answers were equally common; ``log_shares``, (num_classes,), were in its training (prior.py)."""
        taken = torch.from_numpy(log_shares).to(self.bias)
        return LinearProbe(self.weight, self.bias - (taken[1:] - taken[0] if len(self.bias) == 1 else taken))

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """The probe as named tensors for a safetensors file."""
        return {f"{prefix}.weight": self.weight.cpu().contiguous(), f"{prefix}.bias": self.bias.cpu().contiguous()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], prefix: str) -> LinearProbe:
        """Rebuild the probe that ``tensors`` took apart.

        Raises:
            KeyError: no probe has that prefix.
        """
        return cls(tensors[f"{prefix}.weight"], tensors[f"{prefix}.bias"])


def fit_probe(states: Tensor, labels: Tensor, num_classes: int, *, l2: float = 1e-3, max_iterations: int = 200) -> LinearProbe:
    """Fit one probe. The same inputs give the same probe.

    Args:
        states: shape (num_states, d_model), any float type, on the device to compute on.
        labels: classes 0..num_classes-1, shape (num_states,).
        num_classes: 2 gives a logistic probe, more give a multinomial one.
        l2: weight of the penalty on squared weights, for standardised features; scikit-learn's C is 1 / (num_states * l2).
        max_iterations: most L-BFGS iterations.

    Raises:
        BadInput: there are no states.
    """
    if not len(states):
        raise BadInput("training states", "must not be empty", 0, "draw more probe queries")
    features = states.float()
    mean, scale = features.mean(0), features.std(0, correction=0)
    scale = torch.where(scale > 1e-6, scale, torch.ones_like(scale))
    features = (features - mean) / scale
    num_outputs = 1 if num_classes == 2 else num_classes
    back = _rounding(features, num_classes, l2)
    features = features @ back
    weight = torch.zeros(num_outputs, features.shape[1], device=features.device, requires_grad=True)
    bias = torch.zeros(num_outputs, device=features.device, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=max_iterations, history_size=20, line_search_fn="strong_wolfe", tolerance_grad=1e-6, tolerance_change=1e-9
    )
    targets = labels.to(features.device)

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = features @ weight.T + bias
        fit = (
            functional.binary_cross_entropy_with_logits(logits[:, 0], targets.to(logits.dtype))
            if num_outputs == 1
            else functional.cross_entropy(logits, targets.long())
        )
        loss = fit + l2 / 2 * (weight @ back.T).square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    raw = weight.detach() @ back.T / scale
    return LinearProbe(raw, bias.detach() - raw @ mean)


def _rounding(features: Tensor, num_classes: int, l2: float) -> Tensor:
    """The matrix B, (d_model, d_model), for which the objective on ``features @ B`` has a Hessian close to the identity at weight 0."""
    spread = (1 - 1 / num_classes) / num_classes
    wide = features.double()
    hessian = spread * (wide.T @ wide) / len(wide) + l2 * torch.eye(wide.shape[1], dtype=wide.dtype, device=wide.device)
    lower = torch.linalg.cholesky(hessian)
    identity = torch.eye(wide.shape[1], dtype=wide.dtype, device=wide.device)
    back: Tensor = torch.linalg.solve_triangular(lower.T, identity, upper=True).float()
    return back
