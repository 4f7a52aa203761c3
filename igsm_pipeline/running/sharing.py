"""Units shared with other machines through ``IGSM_REMOTE``: what can be pulled, pulled before it is computed, pushed when it is finished.

Without the variable nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from igsm_pipeline.errors import BadInput, StoreError, UnitLocked
from igsm_pipeline.planning.planner import Plan
from igsm_pipeline.store import Freshness, Store, Unit
from igsm_pipeline.store.remote import OTHER, PUSHED, Remote

Say = Callable[[str], None]
_KEPT = "kept and not pushed, since {} has it or an input of it with other content; `igsm pull --replace` takes that"


@contextmanager
def claimed(unit: Unit, store: Store, remote: Remote | None, say: Say) -> Iterator[bool]:
    """Pull a unit that is whole elsewhere; otherwise hold its lease for the block, which computes it, and push it then.

    Args:
        unit: a unit that is not fresh here, and whose inputs are.
        store: where it goes.
        remote: None: the block computes it, and that is all.
        say: called with lines of text about it.

    Yields:
        Whether it was pulled, so that nothing is to be computed.

    Raises:
        UnitLocked: another machine is computing it, or another process here is writing it.
        StoreError: the remote store cannot be reached.
    """
    if remote is None:
        yield False
        return
    if pull(unit, store, remote, say):
        yield True
        return
    with remote.leases.held(unit, say):
        pulled = pull(unit, store, remote, say)  # whoever held the lease before may have finished it
        yield pulled
        if not pulled:
            offer(unit, store, remote, say, deep=False, take=True)


def pull(unit: Unit, store: Store, remote: Remote, say: Say) -> bool:
    """Pull a unit that is whole there and rests on the inputs here; damaged bytes are refused and told of. Returns whether it is here now."""
    try:
        if not remote.fits(store, unit) or not remote.pull(store, unit):
            return False
    except BadInput as error:
        say(f"refused: {error}")
        return False
    say(f"{unit.stage} {unit.name}: pulled from {remote.address}")
    return True


def offer(unit: Unit, store: Store, remote: Remote, say: Say, *, deep: bool = True, take: bool = False) -> str | None:
    """Push a finished unit.

    Args:
        unit, store, remote, say: as for ``claimed``.
        deep: as for ``Remote.push``.
        take: if another content of it is there that was made from the inputs here, that one takes its place. A unit that was computed this moment
            gives way, so that all machines go on from the same bytes; one that has been here for longer is kept.

    Returns:
        What ``Remote.push`` says; None if it failed, which is told of. The next run pushes it.
    """
    try:
        found = remote.push(store, unit, deep=deep)
        if found == OTHER and take and remote.fits(store, unit):
            say(f"{unit.stage} {unit.name}: another machine finished it first with other content, which is taken instead")
            remote.pull(store, unit, replace=True)
        elif found == OTHER:
            say(f"{unit.stage} {unit.name}: {_KEPT.format(remote.address)}")
        return found
    except (StoreError, BadInput) as error:
        say(f"{unit.stage} {unit.name}: not pushed; the next run tries again: {error}")
        return None


@dataclass(frozen=True)
class Outlook:
    """What pulling makes of a plan.

    Attributes:
        plan: the plan as it will be once they are pulled.
        pulls: the units to be pulled, in order -> bytes.
    """

    plan: Plan
    pulls: Mapping[Unit, int]

    @property
    def bytes(self) -> int:
        """Bytes to be pulled."""
        return sum(self.pulls.values())


def look_ahead(plan: Plan, store: Store, remote: Remote) -> Outlook:
    """Find the stale units of a plan that are whole elsewhere, and whose inputs are or will be those that they were made from.

    Raises:
        StoreError: the remote store cannot be reached.
    """
    contents: dict[Unit, str | None] = {}
    pulls: dict[Unit, int] = {}
    whole = {unit for unit in plan.units if not store.check_own(unit)}
    remote.look_for(unit for unit in plan.stale if unit not in whole)

    def content_of(unit: Unit) -> str | None:
        """The content that the unit has here once it is pulled; None if it has to be computed."""
        if unit not in contents:
            here = unit in whole or not store.check_own(unit)
            try:
                manifest = store.manifest(unit) if here else remote.manifest(unit)
            except BadInput:
                manifest = None  # the run says so, and computes it
            rests = manifest is not None and all(content_of(source) == manifest["inputs"][role]["content"] for role, source in unit.inputs.items())
            contents[unit] = str(manifest["content"]) if manifest is not None and rests else None
            if not here and manifest is not None and rests:
                pulls[unit] = int(manifest["bytes"])
        return contents[unit]

    settled = {unit for unit in plan.stale if content_of(unit) is not None}
    states = zip(plan.units, plan.freshness, strict=True)
    freshness = tuple(Freshness() if unit in settled else state for unit, state in states)
    wanted = set(plan.units)
    return Outlook(Plan(plan.member, plan.units, freshness), {unit: size for unit, size in pulls.items() if unit in wanted})


def synchronise(plan: Plan, store: Store, remote: Remote, say: Say) -> int:
    """Pull what a plan lacks and others have; push what is finished here and not there. Returns how many units were pulled.

    Raises:
        StoreError: the remote store cannot be reached.
    """
    pulled = pull_free(look_ahead(plan, store, remote).pulls, store, remote, say)
    fresh = [unit for unit, state in zip(plan.units, plan.freshness, strict=True) if state.fresh]
    remote.look_for(fresh)
    for unit in fresh:
        offer(unit, store, remote, say)
    return pulled


def pull_free(units: Iterable[Unit], store: Store, remote: Remote, say: Say) -> int:
    """Pull units that are whole there, in order; one that another process here is writing is left to it. Returns how many are here now."""
    pulled = 0
    for unit in units:
        try:
            pulled += pull(unit, store, remote, say)
        except UnitLocked as error:
            say(f"not pulled: {error}")
    return pulled


def pull_units(units: Iterable[Unit], store: Store, remote: Remote, say: Say, *, replace: bool = False) -> tuple[int, int, int]:
    """Pull units as they are asked for. Returns how many came, how many were whole here already, and how many are neither here nor there.

    Args:
        units: the units, inputs before what reads them.
        store: where they go.
        remote: where they are.
        say: called with a line for each that is not there, or has other content here.
        replace: let units of other content take the place of those here.

    Raises:
        BadInput: bytes there are damaged.
        StoreError: the remote store cannot be reached, or a unit is locked.
    """
    came = present = nowhere = 0
    chosen = list(units)
    remote.look_for(chosen)
    for unit in chosen:
        there = remote.manifest(unit)
        here = None if store.check_own(unit) else store.manifest(unit)["content"]
        if there is None:
            nowhere += here is None
            say(f"{unit.stage} {unit.name} is not at {remote.address}")
            continue
        if here == there["content"]:
            present += 1
        elif here is not None and not replace:
            say(f"kept the unit here, whose content differs: {unit.stage} {unit.name}; --replace takes the one at {remote.address}")
        else:
            remote.pull(store, unit, replace=replace)
            came += 1
    return came, present, nowhere


def push_units(units: Sequence[Unit], store: Store, remote: Remote, say: Say) -> tuple[int, int]:
    """Push finished units as they are. Returns how many went, and how many were there already.

    Args:
        units, store, remote: as for ``pull_units``.
        say: called with a line for each that stays, since another content of it or of an input is there.

    Raises:
        StoreError: a unit is damaged here, an input is nowhere, or the remote store cannot be reached.
    """
    remote.look_for(units)
    found = {unit: remote.push(store, unit) for unit in units}
    for unit in (unit for unit, state in found.items() if state == OTHER):
        say(f"{unit.stage} {unit.name}: {_KEPT.format(remote.address)}")
    gone = sum(state == PUSHED for state in found.values())
    return gone, len(found) - gone - sum(state == OTHER for state in found.values())
