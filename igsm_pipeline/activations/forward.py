"""One forward pass of a frozen model over sequences that share prefixes, and the states that probes read from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import GPTNeoXForCausalLM, GPTNeoXModel, PreTrainedModel
from transformers.models.gpt_neox.modeling_gpt_neox import GPTNeoXLayer, apply_rotary_pos_emb

from igsm_pipeline.model.gpt2_rotary import fuse_activations
from igsm_pipeline.queries.sequences import PADDING, SHARED, Sequences

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From queries, keys and values of every position, (batch, heads, length, head size), to what the heads of a layer read, (..., d_model)."""


@dataclass(frozen=True)
class SequenceBatch:
    """``queries.sequences.Sequences`` as tensors on one device; the fields are explained there."""

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
    """Which tokens attend to which: bool, (batch, 1, length, length), true where the token of axis 2 sees that of axis 3.

    A shared token sees the shared tokens up to itself. A token of a branch sees the shared tokens up to the branch's read position, and the branch
    up to itself. Padding sees padding, so that no row is empty.
    """
    column = torch.arange(branch.shape[1], device=branch.device)
    shared = (branch[:, None, :] == SHARED) & (column <= limit[:, :, None])
    own = (branch[:, None, :] == branch[:, :, None]) & (branch[:, :, None] != SHARED) & (column <= column[:, None])
    return (shared | own)[:, None]


def freeze(model: PreTrainedModel) -> PreTrainedModel:
    """Put a model into evaluation mode, with fused activations and no gradients for its weights; the model is changed in place."""
    model.eval()
    fuse_activations(model)
    return model.requires_grad_(False)


def embed(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """The model's own input embeddings, (batch, length, d_model)."""
    table: nn.Module = model.get_input_embeddings()
    embedded: Tensor = table(ids)
    return embedded


def end_states(model: PreTrainedModel, batch: SequenceBatch, embedded: Tensor, layer: int | None = None) -> Tensor:
    """States of a layer at every query's [END]: (num_queries, d_model); differentiable in ``embedded``.

    The result equals ``layer_states`` at these positions. It is cheaper for GPT-NeoX models: that layer is computed only at these positions
    (its keys and values at all), and no layer after it.

    Args:
        layer: the l-th, counted from 1; None: the last, after the final norm.
    """
    if layer == num_layers_of(model):
        layer = None
    if isinstance(model, GPTNeoXForCausalLM):
        return _end_states_of_neox(model.gpt_neox, batch, embedded, layer)
    if layer is not None:
        return _states_of(model, batch, embedded)[layer][batch.rows, batch.ends]
    return final_states(model, batch, embedded)[batch.rows, batch.ends]


def _end_states_of_neox(model: GPTNeoXModel, batch: SequenceBatch, embedded: Tensor, layer: int | None) -> Tensor:
    seen = attention_mask(batch.branch, batch.limit)
    mask = torch.zeros(seen.shape, dtype=embedded.dtype, device=embedded.device).masked_fill_(~seen, float("-inf"))
    rotary = model.rotary_emb(embedded, position_ids=batch.positions)
    states = embedded
    *before, last = model.layers[:layer]
    for block in before:
        states = block(states, attention_mask=mask, position_ids=batch.positions, use_cache=False, position_embeddings=rotary)
    states = _last_layer_at_ends(last, batch, states, mask, rotary)
    return model.final_layer_norm(states) if layer is None else states


def _last_layer_at_ends(layer: GPTNeoXLayer, batch: SequenceBatch, states: Tensor, mask: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """A layer's output where queries end, (num_queries, d_model). Its attention has queries there only, and keys and values everywhere.

    The ends of each row are gathered into (batch, most ends of a row) first, so that attention is one product per row.
    """
    number = torch.bincount(batch.rows, minlength=len(states))
    place = torch.arange(len(batch.rows), device=states.device) - (number.cumsum(0) - number)[batch.rows]
    ends = torch.zeros((len(states), int(number.max())), dtype=torch.long, device=states.device)
    ends[batch.rows, place] = batch.ends
    row = torch.arange(len(states), device=states.device)[:, None]

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query = query.transpose(1, 2)[row, ends].transpose(1, 2)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask[row, 0, ends][:, None], scale=layer.attention.scaling)
        return mixed.transpose(1, 2).flatten(2)[batch.rows, place]

    return neox_layer(layer, states, rotary, attend, states[batch.rows, batch.ends])


def neox_layer(layer: GPTNeoXLayer, states: Tensor, rotary: tuple[Tensor, Tensor], attend: Attend, before: Tensor) -> Tensor:
    """A GPT-NeoX layer's output at some places, (..., d_model). Dropout is off in a frozen model.

    Args:
        layer: the layer.
        states: its input at every position, (batch, length, d_model).
        rotary: cosines and sines of the positions.
        attend: what its heads read at the places.
        before: the input at the places.
    """
    attention = layer.attention
    shape = (*states.shape[:2], -1, 3 * attention.head_size)
    query, key, value = attention.query_key_value(layer.input_layernorm(states)).view(shape).transpose(1, 2).chunk(3, dim=-1)
    query, key = apply_rotary_pos_emb(query, key, *rotary)
    middle = attention.dense(attend(query, key, value)) + before
    read = before if layer.use_parallel_residual else middle
    out: Tensor = layer.mlp(layer.post_attention_layernorm(read)) + middle
    return out


def final_states(model: PreTrainedModel, batch: SequenceBatch, embedded: Tensor) -> Tensor:
    """States of the last layer, after the final norm, at every position: (batch, length, d_model); differentiable in ``embedded``."""
    states: Tensor = model.base_model(
        inputs_embeds=embedded, attention_mask=attention_mask(batch.branch, batch.limit), position_ids=batch.positions, use_cache=False
    ).last_hidden_state
    return states


@torch.inference_mode()
def layer_states(model: PreTrainedModel, batch: SequenceBatch, layers: tuple[int, ...]) -> dict[int, Tensor]:
    """States of some layers at every position, (batch, length, d_model) each.

    Layer 0 is the embeddings, layer l is the output of the l-th layer; the last one is taken after the final norm.
    """
    found = _states_of(model, batch, embed(model, batch.ids))
    return {layer: found[layer] for layer in layers}


def _states_of(model: PreTrainedModel, batch: SequenceBatch, embedded: Tensor) -> tuple[Tensor, ...]:
    """States of every layer at every position, from the embeddings on."""
    found: tuple[Tensor, ...] = model.base_model(
        inputs_embeds=embedded,
        attention_mask=attention_mask(batch.branch, batch.limit),
        position_ids=batch.positions,
        use_cache=False,
        output_hidden_states=True,
    ).hidden_states
    return found


def num_layers_of(model: PreTrainedModel) -> int:
    """The number of transformer layers of a model."""
    return int(model.config.num_hidden_layers)


assert PADDING < SHARED < 0
