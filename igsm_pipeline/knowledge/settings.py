"""Which controls a V-probe gets, and the settings of the stage that compares them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from igsm_pipeline.probes.settings import Precision
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.settings import Candidates, QuerySetSettings
from igsm_pipeline.queries.tasks import ALL_TASKS, TaskName
from igsm_pipeline.settings import Settings, added_field, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings

Control = Literal["control_task", "no_layers", "permuted"]
RECIPES: dict[Control, dict[str, Any]] = {
    "control_task": {"answers": "control_task"},
    "no_layers": {"layer": 0},
    "permuted": {"answers": "permuted"},
}
"""How a control's V-probe differs from the trained model's: it learns random answers by heart, reads no layer, or learns other queries' answers."""
CONTROLS: tuple[Control, ...] = tuple(RECIPES)


class SetSettings(Settings):
    """On which candidate sets the same probes are scored, side by side."""

    sets: tuple[Candidates, ...] = Field(min_length=1, description="names of the sets")
    per_problem: int = Field(QuerySetSettings.model_fields["per_problem"].default, ge=1, le=1000, description="most queries per problem and task")
    first: int | None = Field(None, ge=1, description="problems of each slice that are asked about, from its first one on; None: all")
    seed: int = Field(0, ge=0, description="seed of the queries")


class ProbeControlSettings(Settings):
    """How V-probes are compared with their controls. Source: beside each module. Ours: all values."""

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    tasks: tuple[TaskName, ...] = Field(ALL_TASKS, min_length=1)
    controls: tuple[Control, ...] = CONTROLS
    slices: tuple[str, ...] = Field(min_length=1, description="names of the slices")
    candidates: SetSettings | None = added_field(None, description="candidate sets side by side; None: only the set that the queries are of")
    precision: Precision = Field("fp32", description="of the frozen model's matrix products; auto: bf16 on GPUs, fp32 on CPUs")
    num_resamples: int = Field(1000, ge=100, description="bootstrap resamples behind each interval")
    seed: int = Field(0, ge=0, description="seed of the bootstrap")
    device: str = runtime_field("auto", why="where to compute; results differ by rounding only")
    max_tokens: int = runtime_field(16384, why="most tokens per forward pass, padding included; passes are independent", ge=64)
