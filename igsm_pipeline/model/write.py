"""The stage ``control``: it writes the random model that every probe is compared on."""

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
    """Write a model folder like that of a checkpoint, with random weights.

    Args:
        settings: the architecture and the seed. For a foreign model, its config.json gives the architecture and its tokenizer is copied.
        inputs: folders: ``world``. There is no checkpoint among them, so that a new training leaves the control fresh.
        writing: where the files go.
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
