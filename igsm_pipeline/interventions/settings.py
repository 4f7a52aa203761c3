"""Settings of the interventions."""

from __future__ import annotations

from pydantic import Field

from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.settings import Settings, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings


class InterchangeSettings(Settings):
    """How states of twins are exchanged. Source: beside each module. Ours: all values."""

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    layers: tuple[int, ...] | None = Field(None, description="whose output is exchanged; 0 is the embedding; None: all of them")
    num_resamples: int = Field(1000, ge=100, description="bootstrap resamples behind each interval of a mean")
    seed: int = Field(0, ge=0, description="seed of the random directions and of the bootstrap")
    device: str = runtime_field("auto", why="where to compute; results differ by rounding only")
