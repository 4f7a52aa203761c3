"""Checks of model folders: they load, and their weights are finite."""

from __future__ import annotations

import numpy as np
from safetensors import SafetensorError, safe_open

from igsm_pipeline.stage import Outcome, StageUnits


def checkpoint_loads(run: StageUnits) -> Outcome:
    """The weights are readable and finite. A checkpoint that was just trained must also load as a model."""
    tensors = 0
    for folder in run.folders():
        try:
            with safe_open(folder / "model.safetensors", framework="numpy") as weights:
                for name in weights.keys():  # noqa: SIM118  (safe_open is no mapping)
                    if not np.isfinite(weights.get_tensor(name)).all():
                        return Outcome(False, f"{name} holds a value that is not finite")
                    tensors += 1
        except (OSError, SafetensorError) as error:
            return Outcome(False, f"model.safetensors cannot be read ({error})")
        if not run.hit:
            from igsm_pipeline.model.gpt2_rotary import load  # noqa: PLC0415  (torch)

            load(folder)
    return Outcome(tensors > 0, f"{tensors} tensors, all finite", {"tensors": tensors})
