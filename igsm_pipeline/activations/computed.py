"""States at [END] that are computed when they are needed and not kept: the numbers of an activation cache, without its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from igsm_pipeline.activations.cache import find_rows, query_keys
from igsm_pipeline.activations.settings import ActivationSettings
from igsm_pipeline.activations.write import Reading, States

MOST_BYTES = 8 << 30
"""Memory for states. As many layers are computed in one pass as fit; each further group of layers costs another pass."""


class ComputedStates:
    """The states at [END] of some queries, with the face of ``cache.CachedStates``: the same rows, rounded to float16 likewise, equal to the bit.

    Ask for layers in ascending order: those of one pass are in memory together.

    Args:
        settings: which states; they are what an activation cache would be made with.
        inputs: folders: ``world``, ``problems``, ``queries`` and ``model``.
        most_bytes: instead of ``MOST_BYTES``; at least one layer is held.
    """

    def __init__(self, settings: ActivationSettings, inputs: Mapping[str, Path], most_bytes: int | None = None) -> None:
        self._reading = Reading(settings, inputs)
        self.layers = sorted(self._reading.layers)
        self._keys = query_keys(self._reading.queries)
        one = 2 * len(self._keys) * int(self._reading.model.config.hidden_size)
        self.at_once = max(1, (MOST_BYTES if most_bytes is None else most_bytes) // max(1, one))
        self._held: States = {}

    def rows_of(self, queries: pa.Table) -> NDArray[np.int64]:
        """The row of ``layer`` that belongs to each query, (num_queries,).

        Raises:
            StageFailed: a query is not among those that are read.
        """
        return find_rows(self._keys, queries, "the queries that are read")

    def layer(self, layer: int) -> NDArray[np.float32]:
        """All states of one layer, float32, (num_states, d_model)."""
        if layer not in self._held:
            first = self.layers.index(layer)
            wanted = tuple(self.layers[first : first + self.at_once])
            self._held.clear()
            parts = [self._reading.states(tokens, wanted)[0] for tokens in self._reading.files()]
            self._held = {one: np.concatenate([part[one] for part in parts]) for one in wanted}
        return self._held[layer].astype(np.float32)
