"""Muon: an optimizer whose update is momentum, made nearly orthogonal by Newton-Schulz iterations.

Source: Jordan et al. 2024 (coefficients, Nesterov momentum), Liu et al. 2025 (updates scaled by 0.2 sqrt(max(rows, columns)) to the size of
AdamW's). Ours: the function is that of ``torch.optim.Muon`` with ``adjust_lr_fn="match_rms_adamw"``. That one iterates in bfloat16, one matrix after
the other, which costs more than the model on a CPU without bfloat16 units. Here matrices of one shape are iterated together, in float32 on CPUs and
in bfloat16 on GPUs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
_LEAST_NORM = 1e-7


class Muon(torch.optim.Optimizer):
    """Muon for matrices; its state is one ``momentum_buffer`` per parameter.

    Args:
        params: matrices.
        lr: learning rate, comparable to AdamW's.
        weight_decay: decoupled; it is multiplied by the learning rate.
        momentum: decay of the gradient's running mean.
    """

    def __init__(self, params: Iterable[nn.Parameter], *, lr: float, weight_decay: float, momentum: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step with the current gradients. A closure is called first, and its value is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        alike: dict[tuple[torch.device, torch.Size], list[nn.Parameter]] = defaultdict(list)
        for parameter in group["params"]:
            if parameter.grad is not None:
                alike[parameter.device, parameter.shape].append(parameter)
        for (_, shape), parameters in alike.items():
            updates = []
            for parameter in parameters:
                gradient, state = parameter.grad, self.state[parameter]
                assert gradient is not None
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(gradient)
                state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
                updates.append(gradient.lerp(state["momentum_buffer"], group["momentum"]))
            rate = 0.2 * math.sqrt(max(shape)) * group["lr"]
            for parameter, update in zip(parameters, orthogonalised(torch.stack(updates)), strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update.to(parameter.dtype), alpha=-rate)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Make each matrix U S V^T nearly orthogonal: U V^T, with singular values between about 0.7 and 1.2.

    Args:
        matrices: shape (n, rows, columns).

    Returns:
        The same shape; float32 on CPUs, bfloat16 elsewhere.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.float() if matrices.device.type == "cpu" else matrices.bfloat16()
    x = x.mT if tall else x
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=_LEAST_NORM)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
