"""Erasers: the smallest affine change of states after which no linear classifier tells a concept, and random ones that change as much.

LEACE in closed form: whiten the states, project out the directions that covary with the concept, go back. Afterwards states and concept have no
covariance, which is when the best linear classifier, by any convex loss, is a constant. A random eraser projects out random directions of the
whitened states, as many: it removes as much of their variance, measured in their own spread.

Source: Belrose et al. (arXiv:2306.03819), theorem 4.3. Ours: the random ones; directions whose covariance with the concept is rounding are kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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


@dataclass(frozen=True)
class Whitened:
    """The spread of states: what makes their covariance the identity, and the way back.

    Attributes:
        states: float64, (n, d_model).
        mean: (d_model,).
        there, back: symmetric, (d_model, d_model).
        axes: orthonormal directions in which the states vary at all, (d_model, k).
    """

    states: Tensor
    mean: Tensor
    there: Tensor
    back: Tensor
    axes: Tensor

    @classmethod
    def of(cls, states: Tensor) -> Whitened:
        """The spread of some states, (n, d_model).

        Raises:
            BadInput: there are fewer than two.
        """
        if len(states) < 2:
            raise BadInput("states", "must be at least two, to have a spread", len(states), "draw more problems")
        wide = states.double()
        mean = wide.mean(0)
        values, vectors = torch.linalg.eigh((wide - mean).T @ (wide - mean) / len(wide))
        varies = values > _ROUNDING * torch.maximum(values.max(), mean @ mean)
        scale, axes = values[varies].sqrt(), vectors[:, varies]
        return cls(wide, mean, (axes / scale) @ axes.T, (axes * scale) @ axes.T, axes)

    def without(self, directions: Tensor) -> Eraser:
        """The eraser of some orthonormal directions of the whitened states, (d_model, rank)."""
        return Eraser(self.mean, self.back @ directions @ directions.T @ self.there, directions.shape[1])


def erase_concept(spread: Whitened, concept: Tensor) -> Eraser:
    """The eraser of a concept.

    Args:
        spread: of the states.
        concept: its classes as one-hot rows, or any numbers, (n, k).

    Returns:
        An eraser of rank 0 if states and concept have no covariance, as where there is but one class.
    """
    wide = concept.double()
    covariance = (spread.states - spread.mean).T @ (wide - wide.mean(0)) / len(wide)
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
