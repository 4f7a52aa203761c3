"""The stage ``interchange``: the states of twins are exchanged, and what the model then computes first is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from igsm_pipeline.intervals.bootstrap import interval, mean_of
from igsm_pipeline.intervals.share import share
from igsm_pipeline.interventions.interchange import Exchanged, interchange
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
_UNBOUNDED = (-np.inf, np.inf)


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


def effect_rows(made: Sequence[Exchanged], *, seed: int = 0, num_resamples: int = 1000) -> list[dict[str, Any]]:
    """The rows of the table ``interchange``: each donor, place and layer over all groups of pairs.

    Shares have Wilson's interval, since pairs are independent; the mean shift has a bootstrap interval over pairs.
    """
    rows = []
    for donor, place, layer in dict.fromkeys(cell for one in made for cell in one.effects):
        found = [one.effects[donor, place, layer] for one in made if (donor, place, layer) in one.effects]
        swapped, kept, shift = (np.concatenate([getattr(one, name) for one in found]) for name in ("swapped", "kept", "shift"))
        sums = np.stack([shift, np.ones_like(shift)], axis=1)
        rows.append({
            "donor": donor, "place": place, "layer": layer, "n": len(swapped),
            **share(int(swapped.sum()), len(swapped)).columns("swapped"), **share(int(kept.sum()), len(kept)).columns("kept"),
            **interval(sums, mean_of, scale=_UNBOUNDED, seed=seed, num_resamples=num_resamples).columns("shift"),
        })  # fmt: skip
    return rows
