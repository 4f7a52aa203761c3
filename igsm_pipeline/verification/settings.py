"""Settings of the verdicts on a set of completions."""

from __future__ import annotations

from pydantic import Field

from igsm_pipeline.settings import Settings, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings


class VerdictSettings(Settings):
    """How to verify completions. Verdicts of the pipeline are strict; ``verify(strict=False)`` is for comparisons with published numbers."""

    modulus: int = Field(ge=2, le=1000, description="M; the problems compute mod M")
    tokens: TokenSettings = runtime_field(
        TokenSettings.model_validate({}), why="how the completions' ids were made; verdicts from ids equal those from their text"
    )
