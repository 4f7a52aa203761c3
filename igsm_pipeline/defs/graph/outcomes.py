"""What a check is and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from igsm_pipeline.running.stage_runs import StageRun


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes:
        passed: whether the rule holds.
        message: what was looked at and found, in words.
        metadata: figures to show.
    """

    passed: bool
    message: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """A rule of one stage.

    Attributes:
        name: as Dagster shows it.
        description: the rule, in words.
        evaluate: looks at a stage run.
        blocking: stop the run where the rule does not hold.
    """

    name: str
    description: str
    evaluate: Callable[[StageRun], Outcome]
    blocking: bool = True
