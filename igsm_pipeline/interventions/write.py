"""The stage ``interchange``: the states of twins are exchanged, and what the model then computes first is counted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from igsm_pipeline.interventions.effects import effect_rows
from igsm_pipeline.interventions.interchange import interchange
from igsm_pipeline.interventions.residual import sites
from igsm_pipeline.interventions.settings import InterchangeSettings
from igsm_pipeline.interventions.stage import INTERCHANGE
from igsm_pipeline.interventions.twins import pair
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.gpt2_rotary import fuse_activations, load
from igsm_pipeline.problems import read_problems
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.stage import folder_of
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import build_table
from igsm_pipeline.world import load_world

FILE = INTERCHANGE.files
OWN, TWINS = "own", "twins"
"""Parts of the role ``problems``."""
TOGETHER = 64
"""Pairs whose states are in memory together."""


def write_interchange(settings: InterchangeSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write interchange.parquet; it has no rows if the model begins every problem alike, whatever is asked.

    Args:
        settings: which layers.
        inputs: folders: ``world``, ``problems:own``, ``problems:twins`` (the same problems, reasked) and ``checkpoint``.
        writing: where the file goes.
    """
    world = load_world(inputs["world"])
    own, other = (read_problems(folder_of(inputs, "problems", part), world, settings.family.modulus) for part in (OWN, TWINS))
    table = build_table(world, settings.family.modulus, settings.tokens, inputs["checkpoint"])
    model = load(inputs["checkpoint"], device=pick_device(settings.device))
    fuse_activations(model)
    layers = tuple(range(len(sites(model)))) if settings.layers is None else settings.layers
    (stop,) = table.fragment_ids(" as").tolist()[:1]
    groups = [part for group in pair(own, other, table, settings.family.format) for part in group.split(TOGETHER)]
    made = []
    with tqdm(total=sum(map(len, groups)), desc="interchange", unit="pair", mininterval=1.0) as bar:
        for twins in groups:
            made += interchange(model, twins, layers, stop=stop, seed=settings.seed)
            bar.update(len(twins))
    rows = effect_rows(made, seed=settings.seed, num_resamples=settings.num_resamples)
    write_parquet(pa.Table.from_pylist(rows, schema=INTERCHANGE.schema()), writing.folder / FILE)
    exchanged, alike = sum(len(one.rows) for one in made), sum(map(len, groups))
    writing.counts.update(pairs=exchanged, same_first=alike - exchanged, other_length=len(own) - alike)
