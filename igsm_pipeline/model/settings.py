"""Settings: which model, the paper's GPT2-l-h or any causal language model from a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from igsm_pipeline.errors import BadCheckpoint
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.settings import Settings, added_field
from igsm_pipeline.store import hash_unchanged
from igsm_pipeline.tokens.settings import TokenSettings

OffsetHead = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=0, le=64)]]
CONTEXT = 2048
"""Source: solutions are written within 2048 tokens, whatever the training window."""


class ModelSettings(Settings):
    """GPT2-layers-heads with rotary positions, or a foreign checkpoint.

    Source: pre-norm, GELU, biases, tied embeddings, width 64 per head, rotary positions (arXiv:2407.20311, app. F).
    Ours: the rotary fraction (not stated; 0.25 is the default of the paper's reference for it), dropout and rotary base (not
    stated), ``head_width`` other than 64, ``initializer_range`` other than GPT-2's.
    """

    layers: int = Field(12, ge=1, le=200, description="l of GPT2-l-h")
    heads: int = Field(12, ge=1, le=200, description="h of GPT2-l-h")
    head_width: int = Field(64, ge=2, le=256, description="width of a head; the model's width is heads * head_width")
    mlp_ratio: int = Field(4, ge=1, le=16, description="width of the hidden MLP layer, as a multiple of the model's width")
    partial_rotary_factor: float = Field(0.25, ge=0, le=1, description="fraction of a head's width that is rotated; 0: no positions at all (NoPE)")
    rope_theta: float = Field(10_000.0, gt=1, description="base of the rotary frequencies; short windows learn better with a small one")
    initializer_range: float = Field(0.02, gt=0, le=1, description="standard deviation of fresh weights; GPT-2's 0.02 suits widths near 768")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout of embeddings, attention weights and residual branches")
    offset_heads: tuple[OffsetHead, ...] = added_field(
        (), description="heads that read at first what stands so many tokens before: (layer, head, offset) each, layers and heads counted from 1"
    )
    path: str | None = Field(
        None, description="folder of a foreign causal model, counted from the folder of the experiment file; the other fields are then ignored"
    )

    @model_validator(mode="after")
    def _rotary_part_is_even(self) -> Self:
        rotated = int(self.head_width * self.partial_rotary_factor)
        if self.partial_rotary_factor and (rotated < 2 or rotated % 2):
            raise ValueError(
                f"partial_rotary_factor must rotate an even number of a head's dimensions, got {rotated} of {self.head_width}: change one of the two"
            )
        return self

    @model_validator(mode="after")
    def _offset_heads_are_there_and_rotated(self) -> Self:
        for layer, head, _ in self.offset_heads:
            if layer > self.layers or head > self.heads:
                raise ValueError(
                    f"offset_heads must name heads of the model, of {self.layers} layers and {self.heads} heads, got layer {layer} and head {head}:"
                    " correct the list"
                )
        if len({place[:2] for place in self.offset_heads}) < len(self.offset_heads):
            raise ValueError("offset_heads must name each head once, got one twice: correct the list")
        if self.offset_heads and not self.partial_rotary_factor:
            raise ValueError("offset_heads must be empty without rotary positions, which they read by: raise partial_rotary_factor, or drop them")
        return self

    @property
    def width(self) -> int:
        """d_model."""
        return self.heads * self.head_width

    def canonical(self) -> dict[str, Any]:
        """As in the base class; a foreign checkpoint is represented by the hash of its content, not by its path."""
        if self.path is None:
            return super().canonical()
        return {"checkpoint": checkpoint_hash(Path(self.path))}


class ControlSettings(Settings):
    """The control: an architecture, and the seed of its weights. Source: GPT-2's initialisation, as before training."""

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    model: ModelSettings = Field(default_factory=ModelSettings, description="the architecture; for a foreign model, that of its config.json")
    seed: int = Field(0, ge=0, description="of the weights")

    def runtime(self) -> dict[str, Any]:
        """The path of a foreign model with its whole section, because the canonical form leaves it out."""
        return {"model": self.model.model_dump(mode="json")} if self.model.path is not None else {}


def checkpoint_hash(folder: Path, field: str = "model.path") -> str:
    """The content hash of a model folder: SHA-256 over the names and bytes of config.json, the safetensors files and the tokenizer's.

    Args:
        folder: the model's folder.
        field: the setting that names it, for the message.

    Raises:
        BadCheckpoint: config.json or the weights are missing.
    """
    files = sorted([*folder.glob("config.json"), *folder.glob("*.safetensors"), *folder.glob("*.safetensors.index.json")])
    if len(files) < 2 or files[0].parent / "config.json" not in files:
        raise BadCheckpoint(f"{field} {folder}", "must hold config.json and model.safetensors", "neither or one of them", "name a checkpoint folder")
    total = hashlib.sha256()
    for file in (*files, *sorted(folder.glob("tokenizer*.json"))):
        total.update(f"{file.name}\0{hash_unchanged(file)}\0".encode())
    return total.hexdigest()
