"""What is asked of a model's state, of which parameters, how often."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.tasks import ALL_TASKS, TaskName
from igsm_pipeline.settings import Settings

Candidates = Literal["graph", "existing", "text", "all"]


class QuerySettings(Settings):
    """The draws of one task over one problem set; the draws of a task do not depend on what else is asked.

    Source: six tasks, at most ten draws per problem. Ours: the default candidate set (``all`` reproduces the paper's majority rows).
    """

    family: FamilySettings
    task: TaskName
    candidates: Candidates = Field("existing", description="which parameters of a problem may be drawn")
    per_problem: int = Field(10, ge=1, le=1000, description="most draws per problem, without replacement")
    seed: int = Field(0, ge=0)
    stream: str = Field(
        "queries", pattern=r"^[A-Za-z0-9._=<>+ -]{1,64}$", description="names the stream of draws: sets of different streams share nothing"
    )


class QuerySetSettings(Settings):
    """The draws of several tasks over one problem set or its first problems; field by field as in ``QuerySettings``."""

    family: FamilySettings
    tasks: tuple[TaskName, ...] = Field(ALL_TASKS, min_length=1, description="who asks")
    candidates: Candidates = QuerySettings.model_fields["candidates"].default
    per_problem: int = Field(QuerySettings.model_fields["per_problem"].default, ge=1, le=1000, description="most draws per problem and task")
    first: int | None = Field(None, ge=1, description="problems of the set that are asked about, from its first one on; None: all")
    seed: int = Field(0, ge=0)
    stream: str = QuerySettings.model_fields["stream"].default

    def of(self, task: TaskName) -> QuerySettings:
        """The draws of one task."""
        names = ("family", "candidates", "per_problem", "seed", "stream")
        return QuerySettings(task=task, **{name: getattr(self, name) for name in names})
