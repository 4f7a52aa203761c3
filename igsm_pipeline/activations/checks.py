"""Checks of an activation cache: a sample of its states is compared with plain forward passes, one per query, that share nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from igsm_pipeline.activations.cache import QUERY_KEY, CachedStates
from igsm_pipeline.activations.forward import freeze
from igsm_pipeline.activations.settings import ActivationSettings
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.problems import read_problems
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.write import read_queries
from igsm_pipeline.stage import Outcome, StageUnits
from igsm_pipeline.tokens import build_table
from igsm_pipeline.world import load_world

SAMPLE = 16
SHARING_TOLERANCE = 2e-3
"""Largest difference allowed, relative to the largest state: cached states are float16, which keeps eleven bits."""


def sharing_is_exact(run: StageUnits) -> Outcome:
    """A sample of cached states equals those of one plain pass per query. The check runs when the states have just been computed."""
    if run.hit:
        return Outcome(True, "as when the states were computed")
    gaps = {}
    for unit in run.stale:
        inputs = {role: run.store.path(source) for role, source in unit.inputs.items()}
        gaps[unit.name] = round(largest_gap(unit.settings, inputs, run.store.path(unit), sample=SAMPLE), 6)
    wide = [name for name, gap in gaps.items() if gap > SHARING_TOLERANCE]
    message = f"states differ from those of separate passes: {wide}" if wide else f"{len(gaps)} caches agree with separate passes"
    return Outcome(not wide, message, {"largest gap over largest state": gaps})


def largest_gap(settings: Mapping[str, Any], inputs: Mapping[str, Path], cache: Path, *, sample: int) -> float:
    """The largest difference between a cached state and that of a plain pass, divided by the largest entry of the layer's plain states.

    Args:
        settings: settings of the cache's unit.
        inputs: folders of its inputs.
        cache: folder of the cache.
        sample: queries per task to compare, evenly spaced.
    """
    parsed = ActivationSettings.parse(settings, "activation_cache")
    world = load_world(inputs["world"])
    batch = read_problems(inputs["problems"], world, parsed.family.modulus)
    table = build_table(world, parsed.family.modulus, parsed.tokens, inputs["model"])
    documents, model, cached = GoldDocuments(batch, table, parsed.family.format), freeze(load(inputs["model"])), CachedStates(cache)
    asked = [read_queries(inputs["queries"], task) for task in parsed.tasks]
    taken = [one.take(pa.array(np.linspace(0, len(one) - 1, min(sample, len(one)), dtype=np.int64))) for one in asked if len(one)]
    chosen = pa.concat_tables(one.select(list(QUERY_KEY)) for one in taken).sort_by("problem")
    tokens = QueryTokens(batch, chosen, documents, table)
    plain: dict[int, list[torch.Tensor]] = {layer: [] for layer in cached.layers}
    with torch.inference_mode():
        for query in range(len(tokens)):
            ids = torch.from_numpy(tokens.pack(np.array([query])).ids)
            states = model.base_model(ids, use_cache=False, output_hidden_states=True).hidden_states
            for layer, found in plain.items():
                found.append(states[layer][0, -1])
    gap, rows = 0.0, cached.rows_of(tokens.queries)
    for layer, found in plain.items():
        wanted = torch.stack(found)
        kept = torch.from_numpy(cached.layer(layer)[rows])
        gap = max(gap, float((kept - wanted).abs().max() / wanted.abs().max()))
    return gap
