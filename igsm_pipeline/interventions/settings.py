"""What is exchanged, and the settings of the interventions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.tasks import TASKS, TaskName
from igsm_pipeline.settings import Settings, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings

PLACES = ("question", "statements", "marker", "define", "after", "all")
"""The places whose states are exchanged.

question: from the first to the last token in which the twins differ; statements: the tokens between those and the marker (in the format pq only the
question's last words stand there, since its statements come first and are read alike by both); marker: the token that begins the solution; define:
the first word of the solution and what follows it; after: everything after the question (statements, marker, define); all: the question, too.
"""
DONORS = ("twin", "unrelated", "random", "own")
"""Whose states are put in: the twin's, those of the next pair's twin, random directions of the twin's norms, the receiver's own."""

STRENGTHS = (0.05, 0.1, 0.2, 0.4)
"""Sizes of a push unless an experiment names others."""
PUSHES = ("probe", "other", "random")
"""Along what states are pushed: the probe's gradient about the parameter, that about another one, random directions of the same sizes."""


class SteeringSettings(Settings):
    """How states are pushed along a probe's direction. Source: beside each module. Ours: all values."""

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    layers: tuple[int, ...] | None = Field(None, description="whose output is pushed; 0 is the embedding; None: all but the last")
    strengths: tuple[float, ...] = Field(STRENGTHS, min_length=1, description="sizes of the push, as shares of the norm of the text's states")
    num_resamples: int = Field(1000, ge=100, description="bootstrap resamples behind each interval of a mean")
    seed: int = Field(0, ge=0, description="seed of the parameters, of the random directions and of the bootstrap")
    device: str = runtime_field("auto", why="where to compute; results differ by rounding only")


class InterchangeSettings(Settings):
    """How states of twins are exchanged. Source: beside each module. Ours: all values."""

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    layers: tuple[int, ...] | None = Field(None, description="whose output is exchanged; 0 is the embedding; None: all of them")
    num_resamples: int = Field(1000, ge=100, description="bootstrap resamples behind each interval of a mean")
    seed: int = Field(0, ge=0, description="seed of the random directions and of the bootstrap")
    device: str = runtime_field("auto", why="where to compute; results differ by rounding only")


ERASABLE: tuple[TaskName, ...] = ("nece", "can_next", "known")
"""Concepts that are erased unless an experiment names others."""
Where = Literal["everywhere", "names"]
"""Where an eraser acts: on every state of its layer, or only on those behind " Define A as"."""
NONE, RANDOM = "none", "random"
"""What else than a concept stands in a row: nothing is erased, or random directions."""


def check_erasable(tasks: tuple[TaskName, ...]) -> tuple[TaskName, ...]:
    """The same tasks.

    Raises:
        ValueError: one is about a pair; an own sentence names one parameter.
    """
    pairs = [task for task in tasks if TASKS[task].needs_b]
    if pairs:
        raise ValueError(f"tasks must be about one parameter, as {', '.join(ERASABLE)} are, got {pairs[0]}: leave it out")
    return tasks


class ErasureSettings(Settings):
    """How concepts are erased. Source: beside each module. Ours: all values."""

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    tasks: tuple[TaskName, ...] = Field(ERASABLE, min_length=1, description="concepts that are erased, one at a time, and read again")
    layers: tuple[int, ...] | None = Field(None, description="whose output is erased; 0 is the embedding; None: 1 to the last but one")
    at: Where = Field(
        "everywhere", description="everywhere: on all states of the layer; names: only on those behind a name, where the concept is read"
    )
    per_problem: int = Field(10, ge=1, le=1000, description="most sentences begun per problem")
    draws: int = Field(3, ge=1, le=100, description="random erasers of each rank")
    l2: float = Field(1e-3, gt=0, description="penalty of the linear probes")
    max_tokens: int = Field(2048, ge=16, description="most tokens of prompt and completion together")
    num_resamples: int = Field(1000, ge=100, description="bootstrap resamples behind each interval")
    seed: int = Field(0, ge=0, description="seed of the sentences, of the random directions and of the bootstrap")
    device: str = runtime_field("auto", why="where to compute; results differ by rounding only")
    read_tokens: int = runtime_field(16384, why="most tokens per forward pass of the reading, padding included; passes are independent", ge=64)

    @field_validator("tasks")
    @classmethod
    def _about_one(cls, tasks: tuple[TaskName, ...]) -> tuple[TaskName, ...]:
        return check_erasable(tasks)
