"""Brings one stage of one member up to date; every Dagster asset does this.

The store decides what is stale. This module has a child process compute it, and reports the result. Settings are read in the worker, so that an
edited experiment file counts at once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from igsm_pipeline.errors import StageFailed
from igsm_pipeline.experiments import Member, find_member
from igsm_pipeline.planning.flow import find_stage
from igsm_pipeline.planning.planner import plan
from igsm_pipeline.planning.preflight import check_plan
from igsm_pipeline.running.child import run_command, stage_command
from igsm_pipeline.running.judging import judge
from igsm_pipeline.running.sharing import pull_free
from igsm_pipeline.stage import Check, Outcome, StageUnits
from igsm_pipeline.store import Store, Unit
from igsm_pipeline.store.remote import Remote


@dataclass(frozen=True)
class StageRun(StageUnits):
    """A stage of a member, fresh and checked.

    Attributes:
        member: the experiment's member; the stage may have no units there.
        seconds: wall-clock seconds of bringing it up to date.
        outcomes: the outcome of each check.
    """

    member: Member = field(kw_only=True)
    seconds: float = 0.0
    outcomes: Mapping[Check, Outcome] = field(default_factory=dict)

    def line(self) -> str:
        """One line of text: hit or computed, counts, seconds."""
        counts = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in self.counts.items())
        done = "fresh" if self.hit else f"computed {len(self.stale)} of {len(self.units)}" if len(self.units) > 1 else "computed"
        return stage_line(self.member.key, self.stage.name, done, self.seconds, counts)


def stage_line(member: str, stage: str, done: str, seconds: float, counts: str = "") -> str:
    """One line of text about a stage that has ended: whose, which, what was done, seconds, counts."""
    return f"{member}  {stage:<17} {done:<18} {seconds:8.1f} s  {counts}".rstrip()


def run_stage(member: str, stage: str, on_tick: Callable[[], None] | None = None) -> StageRun:
    """Bring one stage of one member up to date.

    Args:
        member: key of the member.
        stage: name of the stage.
        on_tick: called every two seconds while the stage is being computed.

    Raises:
        NotFound: no such member.
        BadInput, StoreError: the member's plan cannot be completed here (``check_plan``); nothing was computed.
        StageFailed: the child failed, or left a unit stale.
    """
    found, store, started = find_member(member), Store.at_home(), time.monotonic()
    units, stale = _plan(found, store, stage)
    remote = Remote.from_environment() if stale else None
    if remote is not None and pull_free(stale, store, remote, _say):
        stale = _plan(found, store, stage)[1]
    if stale:
        check_plan(plan(found, store), store)
        run_command(stage_command(member, stage), on_tick=on_tick)
        for unit, reasons in _plan(found, store, stage)[1].items():
            raise StageFailed(f"{stage} {unit.name} of {member} is still stale ({'; '.join(reasons)}); run it again")
    looked = StageUnits(find_stage(stage), store, units, stale)
    run = StageRun(looked.stage, store, units, stale, member=found, seconds=time.monotonic() - started, outcomes=judge(looked))
    _say(run.line())
    return run


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _plan(member: Member, store: Store, stage: str) -> tuple[tuple[Unit, ...], dict[Unit, tuple[str, ...]]]:
    planned = plan(member, store, [stage])
    states = zip(planned.units, planned.freshness, strict=True)
    return planned.units, {unit: state.reasons for unit, state in states if not state.fresh}
