"""What a report is about."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from igsm_pipeline.settings import Settings


class ReportSettings(Settings):
    """The member that a report describes; everything else it says comes from its inputs."""

    member: str = Field(description="key of the experiment's member")
    title: str = Field("", description="one line for people")
    experiment: dict[str, Any] = Field(default_factory=dict, description="the member's settings in canonical form, shown in the report")
