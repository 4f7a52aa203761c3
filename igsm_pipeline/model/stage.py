"""The stage ``control`` as declared."""

from __future__ import annotations

from igsm_pipeline.costs import network_of
from igsm_pipeline.model.settings import ControlSettings
from igsm_pipeline.stage import Check, Read, Stage

STAGE = Stage(
    name="control",
    version=1,
    settings=ControlSettings,
    write="igsm_pipeline.model.write:write_control",
    group="mind",
    kinds=("pytorch", "huggingface"),
    words="The same architecture with random weights, as GPT-2 draws them. A probe of it shows what a probe can read without any training.",
    reads=(Read("world"),),
    checks=(Check("control_loads", "Weights are readable and finite.", "igsm_pipeline.model.checks:checkpoint_loads"),),
    disk=lambda unit: 4.0 * network_of(unit).parameters,
    work=lambda unit: 0.5 + network_of(unit).parameters / 1e8,
    torch=True,
)
