"""Fresh problems in one call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from igsm_pipeline.errors import BadSettings, must_be
from igsm_pipeline.problems import generate as generate_blocks
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.problems.settings import FamilySettings, ProblemSetSettings
from igsm_pipeline.toolbox.dataset import read_family
from igsm_pipeline.world import World, world_of

_ARGUMENTS = {"generate: num_problems": "number", "--family": "family"}
"""What a refusal calls a field -> the argument that it came from."""


def generate(
    number: int = 1,
    *,
    family: str | FamilySettings | Mapping[str, Any] = "med",
    world: str | Path | World = "igsm",
    op: int | None = None,
    split: Literal["train", "test", "all"] = "train",
    seed: int = 0,
) -> ProblemBatch:
    """Draw problems by the law of the paper; the same arguments give the same problems as ``igsm generate``.

    >>> import igsm_pipeline as igsm
    >>> problems = igsm.generate(3, world="mini", op=2, seed=7)
    >>> [problem.op for problem in problems]
    [2, 2, 2]

    Args:
        number: how many.
        family: med, hard, a YAML file of family settings, or the settings themselves, also as a mapping.
        world: a built-in name, a file, or the world itself.
        op: operations of every problem; None: by the family's law.
        split: which side of the split by template (or by problem) they come from.
        seed: of the draw.

    Returns:
        A batch: iterate over it for problems, index it for one, ``take(slice(0, 8))`` for a smaller batch.

    Raises:
        BadInput, BadSettings: an argument breaks a rule, or no such family.
        NotFound, BadWorld: no such world, or a file that breaks a rule.
        StageFailed: the split holds no problem of that op.
    """
    values = {"law": "range" if op is None else "exact", "op": op, "split": split, "num_problems": number, "seed": seed, "stream": "generate"}
    must_be("family", family, (str, FamilySettings, Mapping), "a name, a file or settings", "write med, hard or igsm.FamilySettings(op_max=4)")
    if isinstance(family, Mapping):
        family = FamilySettings.parse(family, "family")
    try:
        kind = family if isinstance(family, FamilySettings) else read_family(family)
        settings = ProblemSetSettings.parse({"family": kind.canonical(), **values}, "generate")
    except BadSettings as error:
        raise BadSettings(_ARGUMENTS.get(error.field, error.field), error.rule, error.got, error.way_out) from None
    names = world_of(world)
    records = np.concatenate([batch.records for batch in generate_blocks(settings, names)])
    return ProblemBatch(records, names, settings.family.modulus)
