"""The stage ``own_problems``: a file of rows becomes records with the bins of the split, in the form of a problem set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from igsm_pipeline.errors import BadSettings
from igsm_pipeline.own_problems.rows import Read, read_problem_rows
from igsm_pipeline.own_problems.settings import FIELD, OwnProblemSettings, content_of_file
from igsm_pipeline.problems.files import to_table, write_parquet
from igsm_pipeline.problems.law.blocks import cached_shape
from igsm_pipeline.problems.law.split import TEST_BINS, TRAIN_BINS, fill_template_bins
from igsm_pipeline.problems.law.split_problems import fill_problem_bins
from igsm_pipeline.problems.write import problem_file, summarise
from igsm_pipeline.store import Writing, write_atomically
from igsm_pipeline.world import World, load_world


def write_own_problems(settings: OwnProblemSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write ``problems-00000.parquet``, one record per row in the file's order, and ``summary.json``.

    Args:
        settings: which file.
        inputs: ``world``.
        writing: the unit being written.

    Raises:
        BadSettings: the file is not there, or has changed since it was planned.
        BadInput: a row is no problem of the world, the modulus and the family.
    """
    if content_of_file(Path(settings.source)) != settings.content:
        raise BadSettings(FIELD, f"must still have content {settings.content}", settings.source, "plan again to use the file as it is")
    read = read_split_rows(settings, load_world(inputs["world"]))
    write_parquet(to_table(read.records), problem_file(writing.folder, 0))
    write_atomically(writing.folder / "summary.json", json.dumps(summarise(iter([read.records])), indent=1).encode())
    split = read.records["split_bin"]
    train, test = (int(np.isin(split, sorted(bins)).sum()) for bins in (TRAIN_BINS, TEST_BINS))
    writing.counts.update(
        problems=len(split), train=train, test=test, in_neither=len(split) - train - test, own_solutions=read.own_solutions, resaid=read.resaid
    )


def read_split_rows(settings: OwnProblemSettings, world: World) -> Read:
    """The problems of a file, with the bins that the split is by; raises what ``read_problem_rows`` raises."""
    read = read_problem_rows(settings, world)
    fill_template_bins(read.records)
    if settings.split_by == "problem":
        fill_problem_bins(read.records, cached_shape(world))
    else:
        read.records["split_bin"] = read.records["template_bin"]
    return read
