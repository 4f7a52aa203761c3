"""The stage ``steering``: states are pushed along a probe's direction, and what the model then computes first is counted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from igsm_pipeline.activations.forward import freeze, num_layers_of
from igsm_pipeline.interventions.effects import effect_rows
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

CELL = ("push", "layer", "strength")


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
    rows = effect_rows(made, CELL, "named", seed=settings.seed, num_resamples=settings.num_resamples)
    write_parquet(pa.Table.from_pylist(rows, schema=STEERED.schema()), writing.folder / STEERED.files)
    pushed = sum(len(one.rows) for one in made)
    writing.counts.update(pushed=pushed, begun_anyway=len(useless.rows) - pushed, without_two=len(batch) - len(useless.rows))
