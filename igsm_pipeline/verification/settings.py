"""What the verdicts on a set of completions depend on."""

from __future__ import annotations

from pydantic import Field

from igsm_pipeline.settings import Settings, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings


class VerdictSettings(Settings):
    """Verdicts are strict: our own analyses use them; ``verify(strict=False)`` is there for published comparisons."""

    modulus: int = Field(ge=2, le=1000, description="arithmetic of the problems is mod this")
    tokens: TokenSettings = runtime_field(
        TokenSettings.model_validate({}), why="how the completions' ids were made; verdicts from ids equal those from their text"
    )
