"""Compute one unit, or every stale unit of one stage of a member."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from typing import Any

from igsm_pipeline.errors import IgsmError, StageFailed, UnitLocked
from igsm_pipeline.experiments.experiment import Member
from igsm_pipeline.experiments.planner import units_of
from igsm_pipeline.experiments.stages import compute, find_stage
from igsm_pipeline.store import Store, Unit

HIT, COMPUTED = "hit", "computed"
LOCK_POLL_S = 1.0


@dataclass(frozen=True)
class UnitResult:
    """What became of a unit.

    Attributes:
        stage, name, fingerprint: which unit.
        state: "hit" (was fresh, nothing was done) or "computed".
        reasons: why it was computed.
        seconds: time spent here, waiting for another writer included.
        content: hash of the unit's files.
        counts: what its stage counted.
    """

    stage: str
    name: str
    fingerprint: str
    state: str
    reasons: tuple[str, ...] = ()
    seconds: float = 0.0
    content: str = ""
    counts: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The result as JSON values."""
        return asdict(self)


def run_unit(unit: Unit, store: Store, *, say: Callable[[str], None] = lambda line: None) -> UnitResult:
    """Make a unit fresh: nothing where it is, else compute it (or wait for the process that is doing so).

    Args:
        unit: the unit; its inputs must be fresh.
        store: where it goes.
        say: told, in a line each, why the unit is computed and whom it waits for.

    Raises:
        StageFailed: an input is stale, or the stage failed; what it had done is kept for the next run.
        StoreError: the disk is full, or the store cannot be written.
    """
    started, waited_for = time.monotonic(), ""
    while True:
        state = store.check(unit)
        if state.fresh:
            return _result(unit, store, HIT, (), started)
        for role, source in unit.inputs.items():
            if not store.check(source).fresh:
                raise StageFailed(
                    f"{unit.stage} {unit.name}: input {role} is not fresh ({source.stage} {source.name}); run stage {source.stage} first"
                )
        try:
            with store.write(unit) as writing:
                say(f"{unit.stage} {unit.name}: {'; '.join(state.reasons)}")
                compute(unit, {role: store.path(source) for role, source in unit.inputs.items()}, writing)
            return _result(unit, store, COMPUTED, state.reasons, started)
        except UnitLocked as error:
            if str(error) != waited_for:
                waited_for = str(error)
                say(f"waiting: {error}")
            time.sleep(LOCK_POLL_S)
        except (IgsmError, KeyboardInterrupt):
            raise
        except Exception as error:
            raise StageFailed(f"{unit.stage} {unit.name} failed: {type(error).__name__}: {error}; see the lines above, a rerun resumes it") from error


def run_stage(
    member: Member, stage: str, store: Store, *, unit_name: str | None = None, jobs: int = 1, say: Callable[[str], None] = lambda line: None
) -> list[UnitResult]:
    """Make every unit of one stage of a member fresh.

    Args:
        member: the member.
        stage: the stage; the stages before it must be fresh.
        store: where the units lie.
        unit_name: only the unit of that name.
        jobs: units computed side by side, where the stage allows it. Cannot change a result.
        say: as for ``run_unit``.
    """
    units = [unit for unit in units_of(member) if unit.stage == stage and unit_name in (None, unit.name)]
    known: dict[Unit, Any] = {}
    num_stale = sum(not store.check(unit, known=known).fresh for unit in units)
    if min(jobs, num_stale) < 2 or not find_stage(stage).parallel:
        return [run_unit(unit, store, say=say) for unit in units]
    with ProcessPoolExecutor(min(jobs, num_stale), mp_context=get_context("spawn")) as pool:
        return list(pool.map(run_unit, units, [store] * len(units)))


def _result(unit: Unit, store: Store, state: str, reasons: tuple[str, ...], started: float) -> UnitResult:
    manifest = store.manifest(unit)
    seconds = round(time.monotonic() - started, 3)
    return UnitResult(unit.stage, unit.name, unit.fingerprint, state, reasons, seconds, manifest["content"], manifest["counts"])
