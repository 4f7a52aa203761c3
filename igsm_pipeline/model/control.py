"""The random control: a model's architecture without its training."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GPTNeoXForCausalLM, PreTrainedModel

from igsm_pipeline import seeding
from igsm_pipeline.model.gpt2_rotary import check_rotary, initialise

STREAM = "control"


def build_control(checkpoint: Path, seed: int) -> PreTrainedModel:
    """A freshly initialised model, fp32 on the CPU, of the architecture that a checkpoint folder's config.json describes.

    GPT-NeoX models get GPT-2's initialisation, as ours have before training, drawn from a stream of its own; other architectures their own. The
    weights are a function of the configuration and the seed; torch's own random state is left as it was.
    """
    config = AutoConfig.from_pretrained(checkpoint, local_files_only=True, trust_remote_code=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeding.torch_seed(seed, STREAM))
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32)
    if isinstance(model, GPTNeoXForCausalLM):
        initialise(model, seed, STREAM)
        check_rotary(model)
    return model
