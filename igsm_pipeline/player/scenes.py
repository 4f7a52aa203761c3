"""The chosen problems of a member, from the folders of its finished units."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from igsm_pipeline.player.choosing import Chosen, choose_problems
from igsm_pipeline.player.files import files_of_units
from igsm_pipeline.player.reader import MindReader
from igsm_pipeline.player.scene import Scene, make_scene
from igsm_pipeline.problems import read_problems
from igsm_pipeline.problems.record import ProblemBatch

GREEDY = " beam 1"
_COLUMNS = ("problem", "op", "correct", "unnecessary_parameters", "sentence")


def scenes_of_units(name: str, units: Mapping[str, Path], *, device: str = "cpu", **how: Any) -> list[Scene]:
    """The documents of a member's chosen problems; the model's own solutions are those of its generations.

    Args:
        name: of the member.
        units: "STAGE/NAME" -> folder of its finished units, as the stage report gets them.
        device: where the probes are asked.
        how: see ``files.files_of_units``.

    Raises:
        NotFound: world, checkpoint or every V-probe of the trained model is missing.
    """
    files = files_of_units(name, units, **how)
    reader = MindReader(files, device)
    chosen = chosen_of_units(units)
    sets = {part: read_problems(units[f"problem_sets/{part}"], files.world, files.family.modulus) for part in {one.slice for one in chosen}}
    return [_scene(reader, sets[one.slice], units, one) for one in chosen]


def chosen_of_units(units: Mapping[str, Path]) -> list[Chosen]:
    """Which problems of a member are shown."""
    prefix = "verdicts/"
    judged = {role[len(prefix) : -len(GREEDY)]: folder for role, folder in units.items() if role.startswith(prefix) and role.endswith(GREEDY)}
    rows = [
        {**row, "slice": part}
        for part, folder in judged.items()
        for row in pq.read_table(folder / "verdicts.parquet", columns=list(_COLUMNS)).to_pylist()
    ]
    shown = [part for part in judged if f"problem_sets/{part}" in units and f"generations/{part}{GREEDY}" in units]
    return choose_problems(rows, shown)


def _scene(reader: MindReader, batch: ProblemBatch, units: Mapping[str, Path], chosen: Chosen) -> Scene:
    path = units[f"generations/{chosen.slice}{GREEDY}"] / "generations.parquet"
    wrote = pq.read_table(path, columns=["tokens"], filters=[("problem", "=", chosen.row)])["tokens"][0].as_py()
    own = reader.read_tokens(np.array(wrote, np.int64))
    return make_scene(reader, batch[chosen.row], own, id=f"{chosen.slice}/{chosen.row}", slice=chosen.slice, row=chosen.row)
