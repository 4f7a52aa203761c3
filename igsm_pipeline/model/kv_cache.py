"""A key-value cache for batched decoding with any transformers model: it is written in place, and rows can be removed.

The stock dynamic cache copies all keys and values at every token. This one keeps free room, writes new ones into it and returns views.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

_ROOM = 128


class RoomyLayer(DynamicLayer):  # type: ignore[misc]  # transformers carries no types
    """Keys and values of one layer, shape (batch, heads, room, head_width); the first ``length`` positions are filled."""

    def __init__(self) -> None:
        super().__init__()
        self.length = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make room for the first states."""
        self.dtype, self.device = key_states.dtype, key_states.device
        batch, heads, _, width = key_states.shape
        self.keys = key_states.new_zeros(batch, heads, 0, width)
        self.values = value_states.new_zeros(batch, heads, 0, value_states.shape[-1])
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append states, shape (batch, heads, new, head_width); returns views of all filled positions."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[-2]
        self.reserve(end)
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def reserve(self, length: int) -> None:
        """Make room for this many positions; a cache that must grow gets some more."""
        room = self.keys.shape[2]
        if length <= room:
            return
        extra = (*self.keys.shape[:2], max(length, room + max(_ROOM, room // 2)) - room)
        self.keys = torch.cat([self.keys, self.keys.new_zeros(*extra, self.keys.shape[-1])], dim=2)
        self.values = torch.cat([self.values, self.values.new_zeros(*extra, self.values.shape[-1])], dim=2)

    def get_seq_length(self) -> int:
        """How many positions are filled."""
        return self.length

    def keep_rows(self, rows: Tensor, first: int) -> None:
        """Keep these batch rows in this order (a row may repeat), and the positions from ``first`` on."""
        self.keys = self.keys[:, :, first : self.length].index_select(0, rows)
        self.values = self.values[:, :, first : self.length].index_select(0, rows)
        self.length -= first


class RoomyCache(Cache):  # type: ignore[misc]  # transformers carries no types
    """One ``RoomyLayer`` per layer, made as the model asks for them."""

    layers: list[RoomyLayer]

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=RoomyLayer)

    def keep_rows(self, rows: Tensor, first: int = 0) -> None:
        """Keep these batch rows, and the positions from ``first`` on, in every layer."""
        for layer in self.layers:
            layer.keep_rows(rows, first)


def joined(parts: list[RoomyCache], length: int) -> RoomyCache:
    """Join caches with different filled lengths into one: rows one below the other, aligned at the right end, zeros on the left."""
    if len(parts) == 1 and parts[0].layers[0].length == length:
        return parts[0]
    whole = RoomyCache()
    for index in range(len(parts[0].layers)):
        layers = [part.layers[index] for part in parts]
        rows = sum(layer.keys.shape[0] for layer in layers)
        _, heads, _, width = layers[0].keys.shape
        target = RoomyLayer()
        target.lazy_initialization(
            layers[0].keys.new_zeros(rows, heads, 0, width), layers[0].values.new_zeros(rows, heads, 0, layers[0].values.shape[-1])
        )
        target.reserve(length + _ROOM)
        row = 0
        for layer in layers:
            below = row + layer.keys.shape[0]
            target.keys[row:below, :, length - layer.length : length] = layer.keys[:, :, : layer.length]
            target.values[row:below, :, length - layer.length : length] = layer.values[:, :, : layer.length]
            row = below
        target.length = length
        whole.layers.append(target)
    return whole
