"""What a verdict depends on besides its inputs."""

from __future__ import annotations

from pydantic import Field

from igsm_pipeline.settings import Settings


class VerdictSettings(Settings):
    """Verdicts of one slice."""

    modulus: int = Field(23, ge=2, le=1000, description="M of the family")
    strict: bool = Field(True, description="by the law; false accepts what the released checker accepts beyond it")
