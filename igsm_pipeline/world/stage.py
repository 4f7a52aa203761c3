"""The stage ``world``: the names that every problem is written with."""

from __future__ import annotations

from igsm_pipeline.stage import Stage
from igsm_pipeline.world.settings import WorldSettings

STAGE = Stage(
    name="world",
    version=1,
    settings=WorldSettings,
    write="igsm_pipeline.world.write:write_world",
    group="data",
    kinds=("json",),
    words="The vocabulary: four hierarchies of categories, sub-categories and items from which every problem takes its names (appendix E).",
    disk=lambda unit: 2e4,
    work=lambda unit: 0.1,
    light=True,
)
