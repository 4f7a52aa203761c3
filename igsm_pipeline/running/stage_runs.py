"""One stage of one member, brought up to date: what every asset does.

The store decides what is stale; this module asks it, has the stale units computed by a child process, and tells what happened.
Settings are read here, in the worker, so that an edited experiment file counts at once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from igsm_pipeline.errors import StageFailed
from igsm_pipeline.experiments import Member, find_member
from igsm_pipeline.planning.planner import plan
from igsm_pipeline.planning.preflight import check_plan
from igsm_pipeline.running.child import run_command, stage_command
from igsm_pipeline.settings import hash_json
from igsm_pipeline.store import Store, Unit

SIZES = ("layers", "d_model", "resumed_step", "beam", "modulus")
"""Counts that describe a unit and do not add up over units."""


@dataclass(frozen=True)
class StageRun:
    """A stage of a member, fresh.

    Attributes:
        member: the experiment's member.
        stage: the stage.
        store: where its units lie.
        units: its units, all fresh; none where the member does without the stage.
        stale: unit -> why it had to be computed; empty on a hit.
        seconds: wall-clock time of bringing it up to date.
    """

    member: Member
    stage: str
    store: Store
    units: tuple[Unit, ...]
    stale: Mapping[Unit, tuple[str, ...]]
    seconds: float

    @property
    def hit(self) -> bool:
        """True iff nothing had to be computed."""
        return not self.stale

    @cached_property
    def manifests(self) -> Mapping[Unit, Mapping[str, Any]]:
        """The manifest of every unit."""
        return {unit: self.store.manifest(unit) for unit in self.units}

    @property
    def fingerprint(self) -> str:
        """The unit's fingerprint; of several units, a hash of theirs."""
        return self.units[0].fingerprint if len(self.units) == 1 else hash_json(sorted(unit.fingerprint for unit in self.units))

    @property
    def content(self) -> str:
        """Hash of what all units hold."""
        return hash_json({unit.fingerprint: self.manifests[unit]["content"] for unit in self.units})

    @property
    def counts(self) -> dict[str, int]:
        """Counts of all units, added up; rates and texts are left out, because they do not add."""
        total: dict[str, int] = {}
        for manifest in self.manifests.values():
            for name, value in manifest["counts"].items():
                if isinstance(value, int) and not isinstance(value, bool) and name not in SIZES:
                    total[name] = total.get(name, 0) + value
        return total

    def folders(self) -> list[Path]:
        """The units' folders."""
        return [self.store.path(unit) for unit in self.units]

    def tables(self) -> list[Path]:
        """Every Parquet file of the stage."""
        return [path for folder in self.folders() for path in sorted(folder.glob("*.parquet"))]

    def line(self) -> str:
        """One readable line: hit or computed, counts, seconds."""
        counts = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in self.counts.items())
        done = "fresh" if self.hit else f"computed {len(self.stale)} of {len(self.units)}" if len(self.units) > 1 else "computed"
        return f"{self.member.key}  {self.stage:<17} {done:<18} {self.seconds:8.1f} s  {counts}".rstrip()


def run_stage(member: str, stage: str, on_tick: Callable[[], None] | None = None) -> StageRun:
    """Bring one stage of one member up to date.

    Args:
        member: its key.
        stage: the stage's name.
        on_tick: called every two seconds while the stage is being computed.

    Raises:
        NotFound: no such member.
        BadInput, StoreError: the member's plan cannot come to its end here (``check_plan``); nothing was computed.
        StageFailed: the child failed, or left a unit stale.
    """
    found, store, started = find_member(member), Store.at_home(), time.monotonic()
    units, stale = _plan(found, store, stage)
    if stale:
        check_plan(plan(found, store), store)
        run_command(stage_command(member, stage), on_tick=on_tick)
        for unit, reasons in _plan(found, store, stage)[1].items():
            raise StageFailed(f"{stage} {unit.name} of {member} is still stale ({'; '.join(reasons)}); run it again")
    run = StageRun(found, stage, store, units, stale, time.monotonic() - started)
    print(run.line(), file=sys.stderr, flush=True)
    return run


def _plan(member: Member, store: Store, stage: str) -> tuple[tuple[Unit, ...], dict[Unit, tuple[str, ...]]]:
    planned = plan(member, store, [stage])
    states = zip(planned.units, planned.freshness, strict=True)
    return planned.units, {unit: state.reasons for unit, state in states if not state.fresh}
