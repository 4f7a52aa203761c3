"""The stage ``control``: the random model that every probe is run on for comparison, written once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from transformers import PreTrainedModel

from igsm_pipeline.model.control import STREAM, build_control
from igsm_pipeline.model.gpt2_rotary import build, save
from igsm_pipeline.model.settings import CONTEXT, ControlSettings
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import build_table
from igsm_pipeline.tokens.foreign import copy_tokenizer
from igsm_pipeline.tokens.tokenizer import save_tokenizer
from igsm_pipeline.world import load_world


def write_control(settings: ControlSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write a model folder as a checkpoint's, with fresh weights.

    Args:
        settings: the architecture and the seed; a foreign model's config.json is followed and its tokenizer copied.
        inputs: ``world``; no checkpoint, so that no training run makes the control stale.
        writing: where it goes.
    """
    path = None if settings.model.path is None else Path(settings.model.path)
    table = build_table(load_world(inputs["world"]), settings.family.modulus, settings.tokens, path)
    if path is None:
        model: PreTrainedModel = build(settings.model, table.size, CONTEXT, settings.seed, bos=table.bos, eos=table.eos, stream=STREAM)
    else:
        model = build_control(path, settings.seed)
        if settings.tokens.segmentation == "checkpoint":
            copy_tokenizer(path, writing.folder)
        else:
            save_tokenizer(table, writing.folder)
    save(model, writing.folder)
    writing.counts["parameters"] = model.num_parameters()
