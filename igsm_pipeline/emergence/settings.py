"""The settings of the stage ``emergence``."""

from __future__ import annotations

from pydantic import Field

from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.tasks import ALL_TASKS, TaskName
from igsm_pipeline.settings import Settings, added_field, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings

SOLVED = "solved"
"""The measure of solutions, and the part of the role ``problems`` that is solved."""


class EmergenceSettings(Settings):
    """How the snapshots of a training are looked at. Ours: all of it."""

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    tasks: tuple[TaskName, ...] = Field(ALL_TASKS, description="a V-probe for each is trained on every snapshot")
    slice: str = Field(description="evaluation slice whose queries the probes answer")
    num_steps: int = Field(150, ge=1, description="training steps of a V-probe, the same on every snapshot")
    batch_problems: int = Field(8, ge=1, description="problems per step of a V-probe")
    starts: int = added_field(
        1, ge=1, le=100, description="initial values that a V-probe tries; the one with the lowest training loss is trained to the end"
    )
    start_steps: int = added_field(100, ge=1, description="steps of each trial, counted as the first steps of the training")
    rank: int = Field(8, ge=1, description="of a V-probe")
    learning_rate: float = Field(2e-3, gt=0, description="of a V-probe")
    warmup_steps: int = Field(0, ge=0, description="of a V-probe")
    max_tokens: int = Field(2048, ge=16, description="most tokens of prompt and completion together")
    num_resamples: int = Field(1000, ge=100, description="bootstrap resamples behind each interval")
    seed: int = Field(0, ge=0, description="seed of the probes and of the bootstrap")
    device: str = runtime_field("auto", why="where to compute; results differ by rounding only")
