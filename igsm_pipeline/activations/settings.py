"""Whose states are kept, and which."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.settings import Settings, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings


class ActivationSettings(Settings):
    """States at [END] of every query, per layer.

    Ours: all of it (the paper reads the last layer only).
    """

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    arm: Literal["trained", "random"] = Field("trained", description="the checkpoint, or its architecture freshly initialised")
    layers: tuple[int, ...] | None = Field(None, description="layers to keep, 0 the embeddings; null for all")
    seed: int = Field(0, ge=0, description="of the random control's weights")
    device: str = runtime_field("auto", why="where the arithmetic is done; results differ by rounding only")
    max_tokens: int = runtime_field(16384, why="padded tokens per pass; passes do not see one another", ge=64)
    queries_per_file: int = runtime_field(65536, why="how much work a crash can cost; readers join the files", ge=1)
