"""How probes are trained and what they are measured on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.tasks import ALL_TASKS, TaskName
from igsm_pipeline.settings import Settings, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings

Arm = Literal["trained", "random"]
ARMS: tuple[Arm, ...] = ("trained", "random")
"""The trained model, and the randomly initialised one that every probe is compared with."""


class VProbeSettings(Settings):
    """The V-probe of one task on one model.

    Source: rank 8, lr 2e-3 without warm-up, linear decay to 0, weight decay 0.01, batch 256 (med) or 128 (hard), 100k steps.
    Ours: betas (not stated) as in pretraining; a batch counts problems, each with all its queries; warm-up and several starts, for short
    trainings, in which one start in two may stay where it is (LOG.md). The paper's recipe is the default: neither.
    """

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    task: TaskName
    arm: Arm = Field("trained", description="what the model is; copied into names only")
    num_steps: int = Field(100_000, ge=1)
    batch_problems: int = Field(256, ge=1, description="problems per step; each comes with all its queries")
    rank: int = Field(8, ge=1, description="of the update of the input embedding")
    learning_rate: float = Field(2e-3, gt=0)
    warmup_steps: int = Field(0, ge=0, description="steps in which the rate rises to its line")
    starts: int = Field(1, ge=1, le=100, description="initial values that are tried; the one with the least training loss is trained to the end")
    start_steps: int = Field(100, ge=1, description="steps of each trial, the first of the training; without meaning for one start")
    weight_decay: float = Field(0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.98)
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: matrix products of the frozen model under autocast")
    seed: int = Field(0, ge=0)
    device: str = runtime_field("auto", why="where the arithmetic is done; results differ by rounding only")
    checkpoint_every: int = runtime_field(1000, why="steps between two resumable states; a resumed run equals an unbroken one", ge=1)


class LinearProbeSettings(Settings):
    """Linear probes of every task on every cached layer of one model.

    Ours: all of it (the paper has V-probes only).
    """

    modulus: int = Field(ge=2, le=1000, description="M, which gives the task value its classes")
    tasks: tuple[TaskName, ...] = Field(ALL_TASKS, min_length=1)
    arm: Arm = Field("trained", description="what the model is; copied into names only")
    l2: float = Field(1e-3, gt=0, description="weight of the penalty on squared weights, features standardised")
    max_iterations: int = Field(200, ge=1, description="most L-BFGS iterations of one fit")
    held_out: float = Field(0.2, gt=0, lt=1, description="share of the training problems that no fit sees and that choose the layer")
    seed: int = Field(0, ge=0, description="which problems are held out; a fit has no randomness")
    device: str = runtime_field("auto", why="where a fit is computed changes its last bits only")


class ScoreSettings(Settings):
    """What every probe says of one slice, and how good that is."""

    slice: str = Field(min_length=1, max_length=64, description="its name, copied into every row")
    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    tasks: tuple[TaskName, ...] = Field(ALL_TASKS, min_length=1)
    mapped_problems: int = Field(16, ge=0, description="problems whose every parameter is asked at every step")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: matrix products of the frozen model under autocast")
    num_resamples: int = Field(1000, ge=100, description="bootstrap resamples behind each interval")
    seed: int = Field(0, ge=0, description="seed of the bootstrap")
    device: str = runtime_field("auto", why="where the arithmetic is done; results differ by rounding only")
    max_tokens: int = runtime_field(16384, why="padded tokens per evaluation pass; passes do not see one another", ge=64)
