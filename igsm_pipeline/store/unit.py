"""A unit of work and its address, which is known before the work is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from igsm_pipeline.settings import hash_json


@dataclass(frozen=True)
class Unit:
    """One addressable piece of work.

    Attributes:
        stage: name of the stage ("token_shards").
        name: what this unit is within its stage ("train", "op=max"); for people, not part of the address.
        version: the stage's VERSION.
        settings: the settings it reads, as canonical JSON values.
        inputs: role -> input unit.
        runtime: settings that cannot change results (device, workers); not part of the address.
        labels: what tells it from the other units of its stage (slice, beams, task); for views and reports, not part of the address.
    """

    stage: str
    name: str
    version: int
    settings: Mapping[str, Any]
    inputs: Mapping[str, Unit] = field(default_factory=dict)
    runtime: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """20 hexadecimal digits: the unit's address."""
        cached: str | None = self.__dict__.get("_fingerprint")
        if cached is None:
            inputs = {role: unit.fingerprint for role, unit in self.inputs.items()}
            cached = hash_json([self.stage, self.version, self.settings, inputs])
            object.__setattr__(self, "_fingerprint", cached)
        return cached

    def __hash__(self) -> int:
        return hash((self.stage, self.fingerprint))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unit) and (self.stage, self.fingerprint) == (other.stage, other.fingerprint)
