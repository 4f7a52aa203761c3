"""What the verdicts on a set of completions depend on."""

from __future__ import annotations

from pydantic import Field

from igsm_pipeline.settings import Settings


class VerdictSettings(Settings):
    """Verdicts are strict: our own analyses use them; ``verify(strict=False)`` is there for published comparisons."""

    modulus: int = Field(ge=2, le=1000, description="arithmetic of the problems is mod this")
