"""Settings: how completions are made."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.settings import Settings, added_field, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings


class GenerationSettings(Settings):
    """How to complete the problems of one slice.

    Source: greedy (beam 1) or beam 4 with sampling, context 2048. Ours: sampling without beams.
    """

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    beam: int = Field(1, ge=1, le=16, description="1 writes one solution; more is beam search with sampling")
    temperature: float = added_field(0.0, ge=0, le=10, description="of what is drawn with beam 1; 0 is greedy; beams draw at 1")
    grouping: Literal["equal", "similar"] = added_field(
        "equal", description="which prompts beams decode together: those of equal length, or of similar length, padded; greedy does not ask"
    )
    max_tokens: int = Field(2048, ge=16, description="most tokens of prompt and completion together")
    seed: int = Field(0, ge=0, description="seed of the sampling; not used by greedy")
    device: str = runtime_field("auto", why="where to compute; greedy solutions differ by rounding only, the draws of beams are others on a GPU")
    batch_size: int = runtime_field(0, why="prompts decoded together, 0 chooses; results depend on it in ties only", ge=0)
