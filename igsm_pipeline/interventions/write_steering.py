"""The stage ``steering``: states are pushed along a probe's direction, and what the model then computes first is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from igsm_pipeline.activations.forward import freeze, num_layers_of
from igsm_pipeline.intervals.bootstrap import interval, mean_of
from igsm_pipeline.intervals.share import share
from igsm_pipeline.interventions.interchange import Exchanged
from igsm_pipeline.interventions.settings import SteeringSettings
from igsm_pipeline.interventions.stage import STEERED
from igsm_pipeline.interventions.steering import find_useless, steer
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.probes.v_probe import load_probe
from igsm_pipeline.problems import read_problems
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import build_table
from igsm_pipeline.world import load_world

_UNBOUNDED = (-np.inf, np.inf)


def write_steering(settings: SteeringSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write steering.parquet; it has no rows if no problem has two useless parameters that the model does not begin with anyway.

    Args:
        settings: which layers and strengths.
        inputs: folders: ``world``, ``problems``, ``checkpoint`` and ``v_probes``, the V-probe of nece on it.
        writing: where the file goes.
    """
    world, device = load_world(inputs["world"]), pick_device(settings.device)
    batch = read_problems(inputs["problems"], world, settings.family.modulus)
    table = build_table(world, settings.family.modulus, settings.tokens, inputs["checkpoint"])
    model = freeze(load(inputs["checkpoint"], device=device))
    layers = tuple(range(num_layers_of(model))) if settings.layers is None else settings.layers
    (stop,) = table.fragment_ids(" as").tolist()[:1]
    useless = find_useless(batch, table, settings.family, seed=settings.seed)
    probe = load_probe(inputs["v_probes"], device)
    made = steer(model, probe, useless, layers=layers, strengths=settings.strengths, stop=stop, seed=settings.seed)
    rows = steered_rows(made, seed=settings.seed, num_resamples=settings.num_resamples)
    write_parquet(pa.Table.from_pylist(rows, schema=STEERED.schema()), writing.folder / STEERED.files)
    pushed = sum(len(one.rows) for one in made)
    writing.counts.update(pushed=pushed, begun_anyway=len(useless.rows) - pushed, without_two=len(batch) - len(useless.rows))


def steered_rows(made: Sequence[Exchanged], *, seed: int = 0, num_resamples: int = 1000) -> list[dict[str, Any]]:
    """The rows of the table ``steering``: shares have Wilson's interval, since problems are independent; the mean shift a bootstrap interval."""
    rows = []
    for push, layer, strength in dict.fromkeys(cell for one in made for cell in one.effects):
        found = [one.effects[push, layer, strength] for one in made]
        named, kept, shift = (np.concatenate([getattr(one, name) for one in found]) for name in ("swapped", "kept", "shift"))
        sums = np.stack([shift, np.ones_like(shift)], axis=1)
        rows.append({
            "push": push, "layer": layer, "strength": strength, "n": len(named),
            **share(int(named.sum()), len(named)).columns("named"), **share(int(kept.sum()), len(kept)).columns("kept"),
            **interval(sums, mean_of, scale=_UNBOUNDED, seed=seed, num_resamples=num_resamples).columns("shift"),
        })  # fmt: skip
    return rows
