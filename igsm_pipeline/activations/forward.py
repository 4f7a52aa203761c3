"""One pass of a frozen model over prefix-shared sequences, and the states that probes read from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from igsm_pipeline.model.gpt2_rotary import fuse_activations
from igsm_pipeline.queries.sequences import PADDING, SHARED, Sequences


@dataclass(frozen=True)
class SequenceBatch:
    """``queries.sequences.Sequences`` as tensors of one device; see there for the fields."""

    ids: Tensor
    positions: Tensor
    branch: Tensor
    limit: Tensor
    rows: Tensor
    ends: Tensor
    reads: Tensor

    @classmethod
    def of(cls, sequences: Sequences, device: torch.device | str) -> SequenceBatch:
        """Move a batch to a device."""
        names = cls.__dataclass_fields__
        return cls(**{name: torch.from_numpy(getattr(sequences, name)).to(device, non_blocking=True) for name in names})


def attention_mask(branch: Tensor, limit: Tensor) -> Tensor:
    """Who sees whom: bool, (batch, 1, length, length), true where the token of axis 2 sees that of axis 3.

    A token of the shared part sees the shared tokens up to itself; one of a branch the shared tokens up to its read position and its branch up to
    itself; padding sees padding only, so that no row is empty.
    """
    column = torch.arange(branch.shape[1], device=branch.device)
    shared = (branch[:, None, :] == SHARED) & (column <= limit[:, :, None])
    own = (branch[:, None, :] == branch[:, :, None]) & (branch[:, :, None] != SHARED) & (column <= column[:, None])
    return (shared | own)[:, None]


def freeze(model: PreTrainedModel) -> PreTrainedModel:
    """The model in evaluation mode, its activations fused, no weight of it asking for a gradient (changed in place)."""
    model.eval()
    fuse_activations(model)
    return model.requires_grad_(False)


def embed(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """The model's own input embeddings, (batch, length, d_model)."""
    table: nn.Module = model.get_input_embeddings()
    embedded: Tensor = table(ids)
    return embedded


def final_states(model: PreTrainedModel, batch: SequenceBatch, embedded: Tensor) -> Tensor:
    """States of the last layer, after the final norm, at every position: (batch, length, d_model); differentiable in ``embedded``."""
    states: Tensor = model.base_model(
        inputs_embeds=embedded, attention_mask=attention_mask(batch.branch, batch.limit), position_ids=batch.positions, use_cache=False
    ).last_hidden_state
    return states


@torch.inference_mode()
def layer_states(model: PreTrainedModel, batch: SequenceBatch, layers: tuple[int, ...]) -> dict[int, Tensor]:
    """States of some layers at every position, (batch, length, d_model) each.

    Layer 0 is the embeddings, layer l the output of the l-th; the last is taken after the final norm.
    """
    found = model.base_model(
        inputs_embeds=embed(model, batch.ids),
        attention_mask=attention_mask(batch.branch, batch.limit),
        position_ids=batch.positions,
        use_cache=False,
        output_hidden_states=True,
    ).hidden_states
    return {layer: found[layer] for layer in layers}


def num_layers_of(model: PreTrainedModel) -> int:
    """Transformer layers of a model."""
    return int(model.config.num_hidden_layers)


assert PADDING < SHARED < 0
