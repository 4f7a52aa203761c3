"""How probes are trained and what they are measured on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.settings import Task
from igsm_pipeline.settings import Settings, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings

Arm = Literal["trained", "random"]


class VProbeSettings(Settings):
    """The V-probe of one task: on the trained model and, as its control, on a randomly initialised one.

    Source: rank 8, lr 2e-3 without warm-up, linear decay to 0, weight decay 0.01, batch 256 (med) or 128 (hard), 100k steps.
    Ours: betas (not stated) as in pretraining; a batch counts problems, each with all its queries.
    """

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    task: Task
    num_steps: int = Field(100_000, ge=1)
    batch_problems: int = Field(256, ge=1, description="problems per step; each comes with all its queries")
    rank: int = Field(8, ge=1, description="of the update of the input embedding")
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.98)
    arms: tuple[Arm, ...] = Field(("trained", "random"), min_length=1, description="trained model, random control")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: matrix products of the frozen model under autocast")
    seed: int = Field(0, ge=0)
    device: str = runtime_field("auto", why="where the arithmetic is done; results differ by rounding only")
    checkpoint_every: int = runtime_field(1000, why="steps between two resumable states; a resumed run equals an unbroken one", ge=1)
    max_tokens: int = runtime_field(16384, why="padded tokens per evaluation pass; passes do not see one another", ge=64)


class LinearProbeSettings(Settings):
    """Linear probes of one task on every cached layer.

    Ours: all of it (the paper has V-probes only).
    """

    modulus: int = Field(ge=2, le=1000, description="M, which gives the task value its classes")
    l2: float = Field(1e-3, gt=0, description="weight of the penalty on squared weights, features standardised")
    max_iterations: int = Field(200, ge=1, description="most L-BFGS iterations of one fit")
    num_resamples: int = Field(1000, ge=100, description="bootstrap resamples behind each interval")
    seed: int = Field(0, ge=0, description="seed of the bootstrap; the fit has no randomness")
    device: str = runtime_field("auto", why="where a fit is computed changes its last bits only")
