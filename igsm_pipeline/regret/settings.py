"""Settings: the probe that regrets, and how often a solution may be retried."""

from __future__ import annotations

from pydantic import Field

from igsm_pipeline.probes.settings import VProbeSettings
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.settings import Settings, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings

TRIES = (10, 50)
"""Most retries of a solution. Source: 10, and 50 with the true answer (arXiv:2408.16293)."""


class RegretSettings(Settings):
    """How regret is probed and acted upon. Source: arXiv:2408.16293, section on regret. Ours: what stands beside each field."""

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    recipe: VProbeSettings = Field(description="how the V-probe of can_next is trained")
    per_problem: int = Field(10, ge=1, le=1000, description="most training queries per problem")
    slices: tuple[str, ...] = Field(min_length=1, description="names of the slices")
    problems: int = Field(ge=1, description="the first so many problems of each slice are asked about and solved anew")
    tries: tuple[int, ...] = Field(TRIES, min_length=1, description="most retries of a solution, one arm each")
    max_tokens: int = Field(2048, ge=16, description="most tokens of prompt and kept solution together")
    num_resamples: int = Field(1000, ge=100, description="bootstrap resamples behind each interval of a mean or a difference")
    seed: int = Field(0, ge=0, description="seed of the training queries, of what is sampled anew, and of the bootstrap")
    device: str = runtime_field("auto", why="where to compute; results differ by rounding only")
    read_tokens: int = runtime_field(16384, why="most tokens per forward pass of the probe, padding included; passes are independent", ge=64)
