"""Settings: which states are kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.tasks import ALL_TASKS, TaskName
from igsm_pipeline.settings import Settings, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings


class ActivationSettings(Settings):
    """Which states to keep: at [END] of every query and at every sentence end, per layer.

    Ours: the paper reads the last layer only.
    """

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    tasks: tuple[TaskName, ...] = Field(ALL_TASKS, min_length=1, description="tasks whose queries are read; a state that several need is kept once")
    arm: Literal["trained", "random"] = Field("trained", description="which model is read; used in names only")
    layers: tuple[int, ...] | None = Field(None, description="layers to keep, 0 is the embeddings; null keeps all")
    device: str = runtime_field("auto", why="where to compute; results differ by rounding only")
    max_tokens: int = runtime_field(16384, why="most tokens per forward pass, padding included; passes are independent", ge=64)
