"""The stage ``own_problems`` as declared."""

from __future__ import annotations

from igsm_pipeline.own_problems.settings import OwnProblemSettings
from igsm_pipeline.stage import Check, Read, Stage

STAGE = Stage(
    name="own_problems",
    version=1,
    settings=OwnProblemSettings,
    write="igsm_pipeline.own_problems.write:write_own_problems",
    group="data",
    kinds=("python", "parquet"),
    words="Problems of one's own, read from a file and held to the world, the modulus and the family; problem sets are then taken from them.",
    reads=(Read("world"),),
    checks=(
        Check("solutions_verify", "The solutions of a sample are right, from text alone.", "igsm_pipeline.own_problems.checks:solutions_verify"),
    ),
    disk=lambda unit: 2.0 * float(unit.settings["size"]),
    work=lambda unit: 1.0 + float(unit.settings["size"]) / 1e6,
)
