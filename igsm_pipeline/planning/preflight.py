"""Refuses a plan before anything is computed, if a stage would refuse it hours later."""

from __future__ import annotations

import os
import re
import tempfile
from functools import lru_cache
from pathlib import Path

from igsm_pipeline.costs import tokens_per_problem
from igsm_pipeline.errors import BadSettings, StoreError
from igsm_pipeline.experiments.experiment import ExperimentSettings, Member
from igsm_pipeline.planning.estimates import check_budget, estimate_stages
from igsm_pipeline.planning.flow import problem_sets
from igsm_pipeline.planning.planner import Plan
from igsm_pipeline.store import Store

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
LOOKED_AT = 16
"""Problems per slice that are drawn to find out how long its documents are."""
_AMPLE = 2
"""If ``max_tokens`` is this many times an average document, no problems are drawn."""


def check_plan(plan: Plan, store: Store) -> None:
    """Refuse a plan that cannot be completed on this machine.

    Raises:
        BadSettings: the disk budget or the disk is too small, the device does not exist, or no solution fits into ``evaluation.max_tokens``.
        BadWorld, BadInput: the world's names do not fit the tokens.
        StoreError: the store cannot be written.
    """
    if not plan.stale:
        return
    check_writable(store.root.parent)
    device = plan.member.settings.training.device
    if not _DEVICE.fullmatch(device):
        raise BadSettings(f"{plan.member.path}: training.device", "must be auto, cpu, mps, cuda or cuda:N", device, "use auto")
    check_budget(plan, estimate_stages(plan, store), store)
    if {"token_shards", "checkpoint"} & set(plan.stale_stages):
        from igsm_pipeline.tokens import build_table  # noqa: PLC0415  (a second, needed only before there are tokens)

        settings = plan.member.settings
        own = Path(settings.model.path) if settings.model.path is not None else None
        build_table(settings.world.load(), settings.family.modulus, settings.tokens, own)
    if {"problem_sets", "generations"} & set(plan.stale_stages):
        check_room(plan.member)


def check_room(member: Member) -> None:
    """Refuse an ``evaluation.max_tokens`` that leaves no room for any solution of some slice.

    The first problems of each slice are drawn and written as tokens. That takes seconds, so it is done only if ``max_tokens`` is near the length
    of an average document. The check ``room_to_answer`` reports later whether single completions were cut off.

    Raises:
        BadSettings: of some slice, none of the first problems fits; it names the values for one and for all of them.
    """
    settings = member.settings
    if settings.evaluation.max_tokens >= _AMPLE * tokens_per_problem(settings.model_dump()):
        return
    for name, (shortest, longest) in _document_lengths(settings.model_dump_json()).items():
        if settings.evaluation.max_tokens < shortest:
            raise BadSettings(
                f"{member.path}: evaluation.max_tokens",
                f"must hold a prompt of the slice {name} and its solution, {shortest} tokens at least and {longest} for all of the first {LOOKED_AT}",
                settings.evaluation.max_tokens,
                f"raise it to {longest} or more",
            )


@lru_cache(maxsize=16)
def _document_lengths(described: str) -> dict[str, tuple[int, int]]:
    """Slice -> tokens of the shortest and of the longest of its first problems, from the start of the prompt to the end of text."""
    from igsm_pipeline.problems import generate  # noqa: PLC0415  (the compiler)
    from igsm_pipeline.tokens import build_table, emit  # noqa: PLC0415

    settings = ExperimentSettings.model_validate_json(described)
    world, family, own = settings.world.load(), settings.family, settings.model.path
    table, sets = build_table(world, family.modulus, settings.tokens, Path(own) if own is not None else None), problem_sets(settings)
    found = {}
    for name in settings.evaluation.slices:
        first = sets[name].model_copy(update={"num_problems": min(LOOKED_AT, sets[name].num_problems)})
        lengths = emit(next(generate(first, world)), table, family.format).lengths + 1
        found[name] = int(lengths.min()), int(lengths.max())
    return found


def check_writable(home: Path) -> None:
    """Refuse a data root that cannot be written.

    Raises:
        StoreError: it says why, and what to do.
    """
    there = next(folder for folder in (home, *home.parents) if folder.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(os.urandom(4096))
    except OSError as error:
        raise StoreError(
            f"the data root {home} cannot be written ({error.strerror}); free space, mount it writable, or set IGSM_HOME to another folder"
        ) from error
