"""What is refused before anything is computed, because a stage would refuse it hours later."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from igsm_pipeline.errors import BadSettings, StoreError
from igsm_pipeline.planning.estimates import check_budget, estimate_stages
from igsm_pipeline.planning.planner import Plan
from igsm_pipeline.store import Store

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def check_plan(plan: Plan, store: Store) -> None:
    """Refuse a plan that cannot come to its end on this machine.

    Raises:
        BadSettings: the disk budget or the disk is too small, or a device's name is none.
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


def check_writable(home: Path) -> None:
    """Refuse a data root that cannot be written.

    Raises:
        StoreError: says why and what to do.
    """
    there = next(folder for folder in (home, *home.parents) if folder.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(os.urandom(4096))
    except OSError as error:
        raise StoreError(
            f"the data root {home} cannot be written ({error.strerror}); free space, mount it writable, or set IGSM_HOME to another folder"
        ) from error
