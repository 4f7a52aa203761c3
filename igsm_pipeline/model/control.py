"""Builds the control: a model's architecture with random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GPTNeoXForCausalLM, PreTrainedModel

from igsm_pipeline import seeding
from igsm_pipeline.model.gpt2_rotary import check_rotary, initialise

STREAM = "control"


def build_control(checkpoint: Path, seed: int) -> PreTrainedModel:
    """Build a freshly initialised model, fp32 on the CPU, with the architecture that a checkpoint folder's config.json describes.

    GPT-NeoX models get GPT-2's initialisation, as our models do before training, from a random stream of its own. Other architectures get their own
    initialisation. The weights depend on the configuration and the seed alone; torch's random state is not changed.
    """
    config = AutoConfig.from_pretrained(checkpoint, local_files_only=True, trust_remote_code=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeding.torch_seed(seed, STREAM))
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32)
    if isinstance(model, GPTNeoXForCausalLM):
        initialise(model, seed, STREAM)
        check_rotary(model)
    return model
