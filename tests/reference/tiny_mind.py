"""A mind of random weights: two tiny networks and a V-probe of every task on each, made in a second; it answers nonsense, always the same."""

from __future__ import annotations

from pathlib import Path

import torch

from igsm_pipeline.model.gpt2_rotary import build, save
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.player.files import MindFiles
from igsm_pipeline.probes.settings import ARMS
from igsm_pipeline.probes.v_probe import VProbe, save_probe
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.settings import Candidates
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.world import load_world

FAMILY = FamilySettings(op_max=3, ip_max=4, modulus=5, op_law="uniform", split_by="problem", format="qp")


def make_mind(folder: Path, *, family: FamilySettings = FAMILY, candidates: Candidates = "existing", max_tokens: int = 60) -> MindFiles:
    """Write the networks and probes below ``folder``."""
    world, tokens = load_world("mini"), TokenSettings(segmentation="phrase")
    size = build_table(world, family.modulus, tokens).size
    models, probes = {}, {}
    for number, arm in enumerate(ARMS):
        models[arm] = folder / arm
        network = build(ModelSettings(layers=2, heads=2, head_width=8, partial_rotary_factor=0.5), size, 128, seed=number)
        models[arm].mkdir(parents=True)
        save(network, models[arm])
        for place, (name, task) in enumerate(TASKS.items()):
            probe = VProbe(size, 16, task.classes(family.modulus), 4, seed=10 * number + place)
            with torch.no_grad():
                probe.rows.normal_(generator=torch.Generator().manual_seed(place))
            probes[name, arm] = folder / f"{name}-{arm}"
            save_probe(probe, probes[name, arm], name)
    return MindFiles("tiny", models, probes, tokens, world, family, candidates, max_tokens)
