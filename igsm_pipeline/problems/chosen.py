"""Problem sets that are taken from a file of one's own instead of drawn: which of its problems a set holds, and in which order.

Ours: all of it. The file's problems are put into one random order, the same for every set. A set takes the first that are in its split and of its
op. Sets of the streams in ``FROM_THE_END`` begin at the other end: so probes learn from other problems than the model, where there are enough.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.errors import StageFailed
from igsm_pipeline.problems.files import read_records
from igsm_pipeline.problems.law.reask import reask
from igsm_pipeline.problems.law.split import BINS, fill_template_bins
from igsm_pipeline.problems.record import Records
from igsm_pipeline.problems.settings import ProblemSetSettings
from igsm_pipeline.seeding import generator, kernel_key

FROM_THE_END = ("probes", "monitor")
"""Beginnings of names of streams."""


def choose(records: Records, settings: ProblemSetSettings) -> Records:
    """The problems of a set, at most ``settings.num_problems``; fewer where the file has fewer, none where it has none.

    Args:
        records: all problems of the file, with their bins.
        settings: of the set; its law says which ops it holds, not how often (``balanced``: each as often as the file allows).
    """
    order = generator(0, "own problems order").permutation(len(records))
    if settings.stream.startswith(FROM_THE_END):
        order = order[::-1]
    mixed = records[order]
    ops = mixed["op"]
    fits = ops == settings.op if settings.law == "exact" else ops <= settings.family.op_max
    mixed = mixed[fits & np.isin(mixed["split_bin"], sorted(BINS[settings.split]))]
    if settings.balanced:
        mixed = mixed[np.lexsort((mixed["op"], _rank_in_op(mixed["op"])))]
    chosen = mixed[: settings.num_problems].copy()
    chosen["block"], chosen["slot"] = np.divmod(np.arange(len(chosen)), settings.block_size)
    if settings.reask and len(chosen):
        chosen = reask(chosen, kernel_key(settings.seed, settings.stream), settings.family.num_symbols)
        fill_template_bins(chosen)
    return chosen


def _rank_in_op(ops: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many problems of the same op stand before each."""
    rank = np.zeros(len(ops), np.int64)
    for op in np.unique(ops):
        rank[ops == op] = np.arange(int((ops == op).sum()))
    return rank


def choose_from(folder: Path, settings: ProblemSetSettings) -> Records:
    """The problems of a set from the folder of the stage ``own_problems``.

    Raises:
        StageFailed: the file has no such problem.
    """
    chosen = choose(read_records(folder), settings)
    if not len(chosen):
        raise StageFailed(f"the file of problems.source has none for a set of {wanted(settings)}; add rows, or leave the set out")
    return chosen


def wanted(settings: ProblemSetSettings) -> str:
    """What a set asks for, in words."""
    op = f"op {settings.op}" if settings.law == "exact" else f"op 1 to {settings.family.op_max}"
    return f"{op} in the {settings.split} split"
