"""What the model's own process does: it loads model and probes once, then solves one problem after another. It alone loads torch."""

from __future__ import annotations

import time
from typing import Any

from igsm_pipeline.player.files import MindFiles
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.processes.imports import quick_imports

Scene = dict[str, Any]
_loaded: dict[str, Any] = {}


def load_mind(files: MindFiles) -> None:
    """Load a model and all its probes into this process; they stay.

    Raises:
        IgsmError: a part cannot be loaded.
    """
    with quick_imports():
        from igsm_pipeline.player.reader import MindReader, hide_loading_bars, use_few_threads  # noqa: PLC0415  (loads torch)
        from igsm_pipeline.player.scene import make_scene  # noqa: PLC0415

    hide_loading_bars()
    reader = MindReader(files)
    reader.load()
    use_few_threads(reader)
    _loaded.update(reader=reader, make_scene=make_scene)


def solve_and_read(problem: Problem, name: str) -> tuple[Scene, float]:
    """Let the loaded model solve a problem, and read its probes after each sentence.

    Args:
        problem: of the model's world and modulus.
        name: which it is; the part before the first "/" says where it comes from.

    Returns:
        The document for the player, and the seconds that it took.

    Raises:
        BadInput: the problem is too long, or has words that the model lacks.
    """
    started, reader = time.monotonic(), _loaded["reader"]
    scene: Scene = _loaded["make_scene"](reader, problem, reader.solve(problem), id=name, slice=name.partition("/")[0])
    return scene, round(time.monotonic() - started, 3)
