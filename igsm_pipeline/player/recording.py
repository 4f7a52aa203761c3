"""What the stage report records for the player: the chosen problems of a member, where it has probes to ask."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from igsm_pipeline.errors import NotFound
from igsm_pipeline.player.files import RECORDED
from igsm_pipeline.store import write_atomically

Experiment = Mapping[str, Any]


def record_scenes(name: str, experiment: Experiment, units: Mapping[str, Path], folder: Path) -> list[dict[str, Any]]:
    """Ask a member's probes about its chosen problems, and write the documents into ``player.json``.

    Args:
        name: of the member.
        experiment: its settings in canonical form; what they do not say is taken from the defaults.
        units: "STAGE/NAME" -> folder of its finished units.
        folder: where the file goes.

    Returns:
        The documents; none, and no file, where the model or its probes are missing.
    """
    if not any(role.startswith("v_probes/") for role in units):
        return []
    from igsm_pipeline.model.device import pick_device  # noqa: PLC0415  (loads torch)
    from igsm_pipeline.player.scenes import scenes_of_units  # noqa: PLC0415

    how = {"candidates": experiment.get("probes", {}).get("candidates"), "max_tokens": experiment.get("evaluation", {}).get("max_tokens")}
    try:
        scenes = scenes_of_units(name, units, device=str(pick_device("auto")), **{key: value for key, value in how.items() if value is not None})
    except NotFound:
        return []
    write_atomically(folder / RECORDED, json.dumps(scenes, separators=(",", ":")).encode())
    return scenes
