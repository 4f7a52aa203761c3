"""The stage ``world``: a checked copy of the world that everything downstream reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from igsm_pipeline.store import Writing, write_atomically
from igsm_pipeline.world.settings import WorldSettings
from igsm_pipeline.world.world import WORLD_FILE


def write_world(settings: WorldSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write ``world.json``; ``load_world(folder)`` gives the world back, leniency included.

    Raises:
        NotFound, BadWorld, BadSettings: as ``WorldSettings.load``.
    """
    world = settings.load()
    write_atomically(writing.folder / WORLD_FILE, (json.dumps(world.document(), indent=1, ensure_ascii=False) + "\n").encode())
    writing.counts["hierarchies"] = len(world.hierarchies)
    writing.counts["subcategories"] = sum(len(layer.subcategories) for hierarchy in world.hierarchies for layer in hierarchy.layers)
    writing.counts["items"] = sum(1 for _ in world.items())
    writing.counts["content_hash"] = world.content_hash
