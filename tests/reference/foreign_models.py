"""Tiny models of the shapes that people bring, with random weights."""

from __future__ import annotations

import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel

SHAPES = ("pythia", "llama")
"""Parallel residuals, a quarter of each head rotated; grouped queries, RMS norms. Both without tied weights."""


def make_foreign(shape: str, vocab_size: int, seed: int) -> PreTrainedModel:
    """A model of one of ``SHAPES``, in evaluation mode, with weights large enough that every token counts."""
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 2048}
    torch.manual_seed(seed)
    if shape == "pythia":
        config = GPTNeoXConfig(vocab_size=vocab_size, use_parallel_residual=True, tie_word_embeddings=False, initializer_range=0.2, **sizes)
        return GPTNeoXForCausalLM(config).eval()
    config = LlamaConfig(vocab_size=vocab_size, num_key_value_heads=2, tie_word_embeddings=False, initializer_range=0.2, **sizes)
    return LlamaForCausalLM(config).eval()
