"""All problems of a forward pass in one row of a fixed length: three shapes for a whole training, so that a GPU uses compiled graphs again.

    problem     0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 1 -1 -1      which problem a token belongs to; -1: padding
    branch      . . . . 0 0 1 . . . . . 0 0 1 1            as in ``queries.sequences``, . is the shared part

A token sees its own problem only, and there what ``attention_mask`` lets it see; padding sees itself. FlexAttention computes only the blocks in
which something is seen, so that a row of thirty problems costs what thirty rows cost. It needs a compiler: without one a dense mask says the same,
which pays in tests alone.

Ours: all of it. The states are those of ``forward.end_states`` to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from transformers import GPTNeoXForCausalLM, PreTrainedModel

from igsm_pipeline.activations.forward import Attend, neox_layer, num_layers_of
from igsm_pipeline.model.device import sent
from igsm_pipeline.queries.sequences import PADDING, SHARED, Sequences
from igsm_pipeline.training.one_graph import compiles

MOST_SHAPES = 3
_BLOCK = 128
"""Lengths and slots are multiples of it: the side of a block of FlexAttention."""
_MOST_GRAPHS = 256
"""Graphs of one process: three shapes for each layer that is read, with and without gradients."""
PAYS_FROM = 1000
"""Forward passes from which on compiling is worth its minute. Ours: not measured on a GPU."""

Seen = Callable[[Any, Any, Any, Any], Any]


@dataclass(frozen=True)
class Shape:
    """A row's fixed size.

    Attributes:
        length: tokens, padding included.
        slots: queries, unused ones included.
    """

    length: int
    slots: int


def choose_shapes(lengths: NDArray[np.int64], queries: NDArray[np.int64], most: int = MOST_SHAPES) -> tuple[Shape, ...]:
    """The at most so many shapes into which passes fit with the least padding, by rising length.

    Args:
        lengths: tokens of each pass, (passes,), at least one.
        queries: queries of each pass, likewise.
        most: how many shapes there may be.
    """
    rounded = -(-lengths // _BLOCK) * _BLOCK
    sizes, counts = np.unique(rounded, return_counts=True)
    behind = np.cumsum(counts)
    cost, caps = (sizes * behind).astype(np.float64), [(end,) for end in range(len(sizes))]
    rises = np.arange(len(sizes))[:, None] < np.arange(len(sizes))
    for _ in range(most - 1):  # cost[j]: of the passes up to size j, with one shape more each time
        split = np.where(rises, cost[:, None] + sizes * (behind - behind[:, None]), np.inf)
        first, least = split.argmin(0), split.min(0)
        caps = [(*caps[first[end]], end) if least[end] < cost[end] else caps[end] for end in range(len(sizes))]
        cost = np.minimum(cost, least)
    found = [int(sizes[end]) for end in caps[-1]]
    return tuple(Shape(length, int(-(-queries[rounded <= length].max() // _BLOCK) * _BLOCK)) for length in found)


@dataclass(frozen=True)
class Row:
    """A packed row on a device.

    Attributes:
        ids: token ids, int64, (1, length); padding is id 0.
        positions: rotary positions, int64, (1, length).
        problem: number of the problem in the row, -1 for padding; int32, (length,).
        branch: as in ``Sequences``, int32, (length,).
        limit: last column of the row that a token sees of its problem's shared part, int32, (length,).
        ends: column of each query's [END], int64, (slots,); the last column where a slot is not used.
        number: queries; their slots come first, in the order of the queries.
    """

    ids: Tensor
    positions: Tensor
    problem: Tensor
    branch: Tensor
    limit: Tensor
    ends: Tensor
    number: int

    @classmethod
    def of(cls, sequences: Sequences, shapes: tuple[Shape, ...], device: torch.device) -> Row:
        """Lay problems that are packed one per row behind one another, in the smallest shape that takes them.

        Raises:
            ValueError: none does (a fault of the program).
        """
        real = sequences.branch != PADDING
        sizes = real.sum(1)
        starts = np.cumsum(sizes) - sizes
        length, number = int(sizes.sum()), len(sequences.ends)
        shape = next((one for one in shapes if one.length >= length and one.slots >= number), None)
        if shape is None:
            raise ValueError(f"a row must take {length} tokens and {number} queries, got {shapes}")
        wide = (0, shape.length - length)
        problem = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        limit = (sequences.limit + starts[:, None]).astype(np.int32)[real]
        made = {
            "ids": np.pad(sequences.ids[real], wide)[None],
            "positions": np.pad(sequences.positions[real], wide)[None],
            "problem": np.pad(problem, wide, constant_values=-1),
            "branch": np.pad(sequences.branch[real], wide, constant_values=PADDING),
            "limit": np.pad(limit, wide, constant_values=-1),
            "ends": np.pad(sequences.ends + starts[sequences.rows], (0, shape.slots - number), constant_values=shape.length - 1),
        }
        return cls(**{name: sent(torch.from_numpy(array), device) for name, array in made.items()}, number=number)


def seen_in_row(problem: Tensor, branch: Tensor, limit: Tensor, at: Tensor | None = None) -> Seen:
    """Which tokens attend to which, as FlexAttention asks: a function of batch, head, the place of a query and the column of a key.

    Args:
        problem, branch, limit: of a row; see ``Row``.
        at: column of each place, (places,); None: every column is a place.
    """

    def seen(_batch: Any, _head: Any, place: Any, column: Any) -> Any:
        token = place if at is None else at[place]
        shared = (branch[column] == SHARED) & (column <= limit[token])
        own = (branch[column] == branch[token]) & (branch[token] >= 0) & (column <= token)
        return ((problem[column] == problem[token]) & (shared | own)) | (column == token)

    return seen


def dense_mask(seen: Seen, places: int, length: int, device: torch.device) -> Tensor:
    """The same as a table: bool, (places, length)."""
    mask: Tensor = seen(0, 0, torch.arange(places, device=device)[:, None], torch.arange(length, device=device))
    return mask


class FixedRows:
    """Reads states at the ends of queries from rows of a few shapes.

    Args:
        model: the frozen model, on ``device``.
        shapes: the shapes of its rows.
        layer: as for ``forward.end_states``.
        device: where to compute.
        backend: compiles a graph per shape; None: nothing is compiled.
        flex: compute attention by FlexAttention, or with a dense mask.
    """

    def __init__(
        self,
        model: GPTNeoXForCausalLM,
        shapes: tuple[Shape, ...],
        layer: int | None,
        device: torch.device,
        *,
        backend: str | Callable[..., Any] | None = "inductor",
        flex: bool = True,
    ) -> None:
        self.model, self.shapes, self.layer, self.device, self.flex = model, shapes, layer, device, flex
        self._states: Callable[..., Tensor] = self._plain
        if backend is not None:
            self._states = torch.compile(self._plain, fullgraph=True, dynamic=False, backend=backend)

    def row(self, sequences: Sequences) -> Row:
        """Packed queries as a row."""
        return Row.of(sequences, self.shapes, self.device)

    def states(self, row: Row, embedded: Tensor) -> Tensor:
        """States at the end of every slot, (slots, d_model); differentiable in ``embedded``, (1, length, d_model)."""
        with torch._dynamo.config.patch(recompile_limit=_MOST_GRAPHS):
            return self._states(embedded, row.positions, row.problem, row.branch, row.limit, row.ends)

    def _plain(self, embedded: Tensor, positions: Tensor, problem: Tensor, branch: Tensor, limit: Tensor, ends: Tensor) -> Tensor:
        body, length = self.model.gpt_neox, embedded.shape[1]
        last = self.layer is None or self.layer == num_layers_of(self.model)
        *before, final = body.layers if last else body.layers[: self.layer]
        rotary = body.rotary_emb(embedded, position_ids=positions)
        everywhere = self._attention(seen_in_row(problem, branch, limit), None, length)
        at_ends = self._attention(seen_in_row(problem, branch, limit, ends), ends, length)
        states = embedded
        for layer in before:
            states = neox_layer(layer, states, rotary, everywhere, states)
        states = neox_layer(final, states, rotary, at_ends, states[:, ends])[0]
        if not last:
            return states
        normed: Tensor = body.final_layer_norm(states)
        return normed

    def _attention(self, seen: Seen, at: Tensor | None, length: int) -> Attend:
        """What a layer reads at some columns, or at all: (1, columns, d_model); keys and values come from all."""
        places, sdpa = length if at is None else len(at), nn.functional.scaled_dot_product_attention
        blocks = create_block_mask(seen, None, None, places, length, device=self.device, BLOCK_SIZE=_BLOCK) if self.flex else None
        mask = None if self.flex else dense_mask(seen, places, length, self.device)

        def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            query, key = (query if at is None else query[:, :, at]).to(value.dtype), key.to(value.dtype)
            read: Tensor = flex_attention(query, key, value, block_mask=blocks) if mask is None else sdpa(query, key, value, attn_mask=mask)
            return read.transpose(1, 2).flatten(2)

        return attend


def pays(model: PreTrainedModel, layer: int | None, device: torch.device, passes: int) -> bool:
    """Whether so many passes are computed in rows of fixed shapes: on a GPU that can compile, with our architecture, where they are many."""
    return passes >= PAYS_FROM and layer != 0 and isinstance(model, GPTNeoXForCausalLM) and compiles("auto", device, "probing")
