"""Erasers: the smallest affine change of states after which no linear classifier tells a concept, and random ones that change as much.

LEACE in closed form: whiten the states, project out the directions that covary with the concept, go back. Afterwards states and concept have no
covariance, which is when the best linear classifier, by any convex loss, is a constant. A random eraser projects out random directions of the
whitened states, as many: it removes as much of their variance, measured in their own spread.

The whitening says what counts as a small change, and may come from other states than the concept: any that varies wherever those do leaves no
covariance with it. It should come from all states on which the eraser acts, as directions in which few of them vary are scaled up in all others.

Source: Belrose et al. (arXiv:2306.03819), theorem 4.3, with one set of states for both. Ours: two; the random ones; directions whose covariance
with the concept is rounding are kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from igsm_pipeline.errors import BadInput

_ROUNDING = 1e-10
"""Variances below this share of the largest, or of the squared mean, are rounding; so are correlations below its root."""


@dataclass(frozen=True)
class Eraser:
    """x -> x - P (x - mean).

    Attributes:
        mean: (d_model,).
        removes: P, (d_model, d_model).
        rank: directions that it takes out.
    """

    mean: Tensor
    removes: Tensor
    rank: int

    def __call__(self, states: Tensor) -> Tensor:
        """States without the concept, (..., d_model), in the type in which they come."""
        mean, removes = self.mean.to(states), self.removes.to(states)
        return states - (states - mean) @ removes.T

    def float(self) -> Eraser:
        """The same in float32."""
        return Eraser(self.mean.float(), self.removes.float(), self.rank)

    def to(self, device: torch.device) -> Eraser:
        """The same on a device."""
        return Eraser(self.mean.to(device), self.removes.to(device), self.rank)


@dataclass(frozen=True)
class Whitened:
    """The spread of states: what makes their covariance the identity, and the way back.

    Attributes:
        mean: float64, (d_model,).
        there, back: symmetric, (d_model, d_model).
        axes: orthonormal directions in which the states vary at all, (d_model, k).
    """

    mean: Tensor
    there: Tensor
    back: Tensor
    axes: Tensor

    @classmethod
    def of(cls, states: Tensor) -> Whitened:
        """The spread of some states, (n, d_model); raises what ``over`` raises."""
        return cls.over([states])

    @classmethod
    def over(cls, parts: Iterable[Tensor]) -> Whitened:
        """The spread of many states that come in parts, (n, d_model) each, and are not kept.

        Raises:
            BadInput: there are fewer than two.
        """
        number, near = 0, torch.zeros(0, dtype=torch.float64)
        sums, products = near, near
        for part in parts:
            wide = part.double()
            if not number:
                near = wide.mean(0)
                sums, products = torch.zeros_like(near), torch.zeros(len(near), len(near), dtype=torch.float64)
            number, wide = number + len(wide), wide - near
            sums, products = sums + wide.sum(0), products + wide.T @ wide
        if number < 2:
            raise BadInput("states", "must be at least two, to have a spread", number, "draw more problems")
        off = sums / number
        mean = near + off
        values, vectors = torch.linalg.eigh(products / number - torch.outer(off, off))
        varies = values > _ROUNDING * torch.maximum(values.max(), mean @ mean)
        scale, axes = values[varies].sqrt(), vectors[:, varies]
        return cls(mean, (axes / scale) @ axes.T, (axes * scale) @ axes.T, axes)

    def without(self, directions: Tensor) -> Eraser:
        """The eraser of some orthonormal directions of the whitened states, (d_model, rank)."""
        return Eraser(self.mean, self.back @ directions @ directions.T @ self.there, directions.shape[1])

    def moved_by(self, eraser: Eraser) -> float:
        """How far an eraser moves these states, as a share of their length; both are root mean squares."""
        removes, off = eraser.removes.double(), self.mean - eraser.mean.double()
        moved = (removes @ self.back).square().sum() + (removes @ off).square().sum()
        return float((moved / (self.back.square().sum() + self.mean.square().sum())).sqrt())


def erase_concept(spread: Whitened, states: Tensor, concept: Tensor) -> Eraser:
    """The eraser of a concept.

    Args:
        spread: of the states on which the eraser acts; it must vary in every direction in which ``states`` do.
        states: where the concept is known, (n, d_model).
        concept: its classes there as one-hot rows, or any numbers, (n, k).

    Returns:
        An eraser of rank 0 if states and concept have no covariance, as where there is but one class.
    """
    wide, own = concept.double(), states.double()
    covariance = (own - own.mean(0)).T @ (wide - wide.mean(0)) / len(wide)
    left, sizes, _ = torch.linalg.svd(spread.there @ covariance, full_matrices=False)
    return spread.without(left[:, sizes > math.sqrt(_ROUNDING) * wide.std(correction=0)])


def erase_random(spread: Whitened, rank: int, numbers: Sequence[Sequence[float]] | Tensor) -> Eraser:
    """An eraser of random directions of the whitened states.

    Args:
        spread: of the states.
        rank: directions; as many as the states vary in, at most.
        numbers: standard normal numbers, (d_model, rank or more).
    """
    drawn = spread.axes @ (spread.axes.T @ torch.as_tensor(numbers, dtype=torch.float64))
    directions, _ = torch.linalg.qr(drawn[:, : min(rank, spread.axes.shape[1])])
    return spread.without(directions)
