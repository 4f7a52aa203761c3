"""Whose states are kept, and which."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.tasks import ALL_TASKS, TaskName
from igsm_pipeline.settings import Settings, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings


class ActivationSettings(Settings):
    """States at [END] of every query and at every sentence end, per layer.

    Ours: all of it (the paper reads the last layer only).
    """

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    tasks: tuple[TaskName, ...] = Field(ALL_TASKS, min_length=1, description="whose queries are read; a state that several tasks read is kept once")
    arm: Literal["trained", "random"] = Field("trained", description="what the model is; copied into names only")
    layers: tuple[int, ...] | None = Field(None, description="layers to keep, 0 the embeddings; null for all")
    device: str = runtime_field("auto", why="where the arithmetic is done; results differ by rounding only")
    max_tokens: int = runtime_field(16384, why="padded tokens per pass; passes do not see one another", ge=64)
