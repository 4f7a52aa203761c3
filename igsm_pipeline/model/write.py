"""The stage ``control``: the random model that every probe is run on for comparison, written once."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from igsm_pipeline.model.control import STREAM, build_control
from igsm_pipeline.model.gpt2_rotary import build, save
from igsm_pipeline.model.settings import CONTEXT, ControlSettings
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import build_table
from igsm_pipeline.world import load_world

STAGE = "control"
VERSION = 1


def write_control(settings: ControlSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write a model folder as a checkpoint's, with fresh weights.

    Args:
        settings: the architecture and the seed.
        inputs: ``world`` where the settings name the architecture, so that no training run makes the control stale; else ``checkpoint``, a foreign
            model whose config.json is followed and whose tokenizer is copied.
        writing: where it goes.
    """
    if settings.model is None:
        model = build_control(inputs["checkpoint"], settings.seed)
        for file in sorted(inputs["checkpoint"].glob("*token*.json")):
            shutil.copyfile(file, writing.folder / file.name)
    else:
        table = build_table(load_world(inputs["world"] / "world.json"), settings.family.modulus, settings.tokens)
        model = build(settings.model, table.size, CONTEXT, settings.seed, bos=table.bos, eos=table.eos, stream=STREAM)
    save(model, writing.folder)
    writing.counts["parameters"] = model.num_parameters()
