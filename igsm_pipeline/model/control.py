"""The random control: a model's architecture without its training."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from igsm_pipeline import seeding


def build_control(checkpoint: Path, seed: int) -> PreTrainedModel:
    """A freshly initialised model, fp32 on the CPU, of the architecture that a checkpoint folder's config.json describes.

    Its weights are a function of the configuration and the seed; torch's own random state is left as it was.
    """
    config = AutoConfig.from_pretrained(checkpoint, local_files_only=True, trust_remote_code=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeding.torch_seed(seed, "control"))
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32)
    return model
