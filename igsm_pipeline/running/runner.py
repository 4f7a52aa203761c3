"""Compute one unit, or every stale unit of one stage of a member."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from igsm_pipeline.errors import IgsmError, StageFailed, TransientFault, UnitLocked
from igsm_pipeline.experiments.experiment import Member
from igsm_pipeline.experiments.folders import remember_folder
from igsm_pipeline.planning.flow import find_stage, units_of
from igsm_pipeline.processes.pools import begin_worker, worker_pool
from igsm_pipeline.processes.stopping import STATE_PATIENCE_S, Stopped, hear_stops, heard_stop
from igsm_pipeline.running.cards import leased, map_on_cards, visible_cards
from igsm_pipeline.running.faults import may_pass
from igsm_pipeline.running.sharing import claimed, offer
from igsm_pipeline.stage import load_object
from igsm_pipeline.store import Store, Unit, Writing
from igsm_pipeline.store.remote import Remote

HIT, COMPUTED, PULLED = "hit", "computed", "pulled"
LOCK_POLL_S = 1.0
_THREADS = "OMP_NUM_THREADS"
JOBS = "IGSM_JOBS"
"""Environment variable: how many processes a stage may use; 0 for all cores."""


@dataclass(frozen=True)
class UnitResult:
    """The result of running a unit.

    Attributes:
        stage, name, fingerprint: which unit.
        state: "hit" (it was fresh, nothing was done), "computed" or "pulled" (another machine had computed it, see ``sharing.py``).
        reasons: why it was computed or pulled.
        seconds: time spent here, including waiting for another process that writes it.
        content: hash of the unit's files.
        counts: the counts that its stage reported.
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


def compute(unit: Unit, inputs: Mapping[str, Path], writing: Writing, *, workers: int = 1) -> None:
    """Run a unit's stage function into ``writing.folder``; this imports the stage's code, torch included.

    Args:
        unit: what to compute.
        inputs: role -> folder of the finished input.
        writing: where the files go.
        workers: processes that a stage may divide the unit between, if it can. The result is the same.
    """
    stage = find_stage(unit.stage)
    function: Callable[..., None] = load_object(stage.write)
    settings = stage.settings.parse({**unit.settings, **unit.runtime}, f"{unit.stage} {unit.name}")
    if stage.workers and workers > 1:
        function(settings, inputs, writing, workers=workers)
    else:
        function(settings, inputs, writing)


def run_unit(unit: Unit, store: Store, *, workers: int = 1, say: Callable[[str], None] = lambda line: None) -> UnitResult:
    """Make a unit fresh. A fresh unit is left alone; a stale one is computed, or waited for if another process computes it.

    With ``IGSM_REMOTE`` it is pulled if it is whole there, and computed under a lease and pushed if it is not.

    Args:
        unit: the unit; its inputs must be fresh.
        store: the store that gets it.
        workers: processes that may share the unit, if its stage can. The result is the same.
        say: called with a line of text: why the unit is computed, or which process it waits for.

    Raises:
        StageFailed: an input is stale, or the stage failed; what was done is kept for the next run.
        TransientFault: it failed by a fault that may disappear in a rerun.
        StoreError: the disk is full, or the store cannot be written.
    """
    started, waited_for, remote = time.monotonic(), "", Remote.from_environment()
    while True:
        state = store.check(unit)
        if state.fresh:
            if remote is not None:
                offer(unit, store, remote, say)
            return _result(unit, store, HIT, (), started)
        for role, source in unit.inputs.items():
            if not store.check(source).fresh:
                raise StageFailed(
                    f"{unit.stage} {unit.name}: input {role} is not fresh ({source.stage} {source.name}); run stage {source.stage} first"
                )
        try:
            with claimed(unit, store, remote, say) as pulled:
                if not pulled:
                    with store.write(unit) as writing:
                        say(f"{unit.stage} {unit.name}: {'; '.join(state.reasons)}")
                        compute(unit, {role: store.path(source) for role, source in unit.inputs.items()}, writing, workers=workers)
            return _result(unit, store, PULLED if pulled else COMPUTED, state.reasons, started)
        except UnitLocked as error:
            if str(error) != waited_for:
                waited_for = str(error)
                say(f"waiting: {error}")
            time.sleep(LOCK_POLL_S)
        except (IgsmError, KeyboardInterrupt):
            raise
        except Exception as error:
            if heard_stop():
                raise Stopped(heard_stop()) from None  # a worker or a pipe broke because of the stop
            kind = TransientFault if may_pass(error) else StageFailed
            raise kind(f"{unit.stage} {unit.name} failed: {type(error).__name__}: {error}; see the lines above, a rerun resumes it") from error


def run_units(
    member: Member, stage: str, store: Store, *, unit_name: str | None = None, jobs: int = 1, say: Callable[[str], None] = lambda line: None
) -> list[UnitResult]:
    """Make every unit of one stage of a member fresh.

    Args:
        member: the member.
        stage: the stage; the stages before it must be fresh.
        store: the store of the units.
        unit_name: only the unit with this name.
        jobs: processes: for units side by side if the stage allows it (on GPUs: each on a card of its own), or for parts of one unit. The results are
            the same.
        say: as for ``run_unit``.
    """
    remember_folder(store.root.parent, member.path.parent)
    units = [unit for unit in units_of(member) if unit.stage == stage and unit_name in (None, unit.name)]
    known: dict[Unit, Any] = {}
    num_stale = sum(not store.check(unit, known=known).fresh for unit in units)
    declared = find_stage(stage)
    cards = visible_cards() if declared.torch and num_stale and not all(map(stays_on_cpu, units)) else ()
    beside = min(jobs, num_stale, len(cards)) if cards else min(jobs, num_stale) if declared.parallel else 1
    if beside < 2:
        asked = [declared.cards(unit) for unit in units]
        most = 0 if 0 in asked else max(asked, default=1)
        with leased(cards, most, say, least=max(1, most)) if cards else nullcontext():
            if cards:
                say_if_unseen(say)
            with _one_thread_here(declared.torch) if declared.parallel and num_stale and not cards else nullcontext():
                return [run_unit(unit, store, workers=jobs, say=say) for unit in units]
    with _one_thread_each():
        if cards:
            return map_on_cards(_run_beside, units, [store] * len(units), cards=cards, beside=beside, patience_s=STATE_PATIENCE_S)
        with worker_pool(beside, begin_worker, patience_s=STATE_PATIENCE_S) as pool:
            return list(pool.map(_run_beside, units, [store] * len(units)))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """While the block runs, processes that are started, and libraries that are loaded, have one thread; what comes after has its threads again."""
    before = os.environ.get(_THREADS)
    os.environ[_THREADS] = "1"
    try:
        yield
    finally:
        os.environ.pop(_THREADS)
        if before is not None:
            os.environ[_THREADS] = before


@contextmanager
def _one_thread_here(torch_too: bool) -> Iterator[None]:
    """While the block runs, this process computes with one thread, as processes side by side do: sums over two threads would give other bytes.

    Args:
        torch_too: whether torch is used; loading it takes seconds.
    """
    with _one_thread_each():
        if not torch_too:
            yield
            return
        import torch  # noqa: PLC0415  (where nothing is stale it is not loaded)

        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def stays_on_cpu(unit: Unit) -> bool:
    """Whether a unit's own settings keep it off GPUs."""
    return (unit.runtime.get("training") or unit.runtime).get("device") == "cpu"


def say_if_unseen(say: Callable[[str], None]) -> None:
    """Say so where this process holds a card that torch does not see: it computes on the CPU then."""
    import torch  # noqa: PLC0415  (seconds; the stage needs it in a moment)

    if not torch.cuda.is_available():
        built = "this torch is built without CUDA" if torch.version.cuda is None else "its CUDA does not see the card (see nvidia-smi)"
        say(f"there is a GPU, and torch computes on the CPU: {built}")


def _run_beside(unit: Unit, store: Store) -> UnitResult:
    """In a worker process: compute a unit, say on standard error what it does, and stop on the parent's SIGTERM."""
    with hear_stops((signal.SIGTERM,), farewell=lambda _: ""):
        return run_unit(unit, store, say=lambda line: print(line, file=sys.stderr, flush=True))


@contextmanager
def unfinished(member: Member, store: Store) -> Iterator[None]:
    """Mark a member as unfinished while the block runs; the mark stays if the block fails or the process dies.

    The catalog and the registry, which come after the last stage, leave no unit that could be stale; the mark makes the next run do them again.
    """
    mark = _mark(member, store)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    yield
    mark.unlink(missing_ok=True)


def is_unfinished(member: Member, store: Store) -> bool:
    """Whether the last run of a member within ``unfinished`` failed or died."""
    return _mark(member, store).exists()


def _mark(member: Member, store: Store) -> Path:
    return store.root.parent / ".dagster" / "unfinished" / member.key


def _result(unit: Unit, store: Store, state: str, reasons: tuple[str, ...], started: float) -> UnitResult:
    manifest = store.manifest(unit)
    seconds = round(time.monotonic() - started, 3)
    return UnitResult(unit.stage, unit.name, unit.fingerprint, state, reasons, seconds, manifest["content"], manifest["counts"])
