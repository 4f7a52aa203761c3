"""What is fresh and what is stale in a member, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from igsm_pipeline.errors import IgsmError, NotFound
from igsm_pipeline.experiments.experiment import Broken, Member, load_members, naming
from igsm_pipeline.planning.flow import STAGES, find_stage, units_of
from igsm_pipeline.planning.novelty import explain_new
from igsm_pipeline.store import NEVER, Freshness, Store, Unit


def stages_of(units: Iterable[Unit]) -> list[str]:
    """The stages of some units, in the order of the data flow."""
    present = {unit.stage for unit in units}
    return [stage for stage in STAGES if stage in present]


def needed_stages(member: Member, store: Store, stages: Sequence[str] | None, *, deep: bool = False) -> list[str] | None:
    """The given stages of a member, and the stages before them that have something to compute for them; None (all) stays None.

    A stage is always taken whole, so that everything that its units read is brought up to date, too.

    Raises:
        NotFound: there is no stage of that name.
    """
    if stages is None:
        return None
    needed = {find_stage(name).name for name in stages}
    units, known = units_of(member), dict[Unit, Freshness]()
    while True:
        inputs = [one for unit in units if unit.stage in needed for one in unit.inputs.values()]
        before = {one.stage for one in inputs if not store.check(one, deep=deep, known=known).fresh}
        if before <= needed:
            return [name for name in STAGES if name in needed]
        needed |= before


@dataclass(frozen=True)
class Plan:
    """The units of a member, and which of them are fresh.

    Attributes:
        member: the member.
        units: its units in order.
        freshness: whether each unit is fresh, in the same order.
    """

    member: Member
    units: tuple[Unit, ...]
    freshness: tuple[Freshness, ...]

    @property
    def stale(self) -> tuple[Unit, ...]:
        """The units to compute, in order."""
        return tuple(unit for unit, state in zip(self.units, self.freshness, strict=True) if not state.fresh)

    @property
    def stale_stages(self) -> list[str]:
        """The stages that have a unit to compute, in order."""
        return stages_of(self.stale)


def plan(
    member: Member,
    store: Store,
    stages: Sequence[str] | None = None,
    *,
    deep: bool = False,
    inputs: bool = False,
    explained: bool = True,
    known: dict[Unit, Freshness] | None = None,
) -> Plan:
    """Plan a member: find out what is fresh and what is stale.

    Args:
        member: the member.
        store: the store to look in.
        stages: only units of these stages; None for all.
        deep: hash every file again instead of trusting size and modification time.
        inputs: include the stages before these that have something to compute for them, see ``needed_stages``.
        explained: say of a unit that was never computed what was changed.
        known: answers of earlier calls, as for ``Store.check``.

    Raises:
        NotFound: there is no stage of that name.
    """
    known = {} if known is None else known
    if inputs:
        stages = needed_stages(member, store, stages, deep=deep)
    wanted = {find_stage(name).name for name in stages} if stages is not None else set(STAGES)
    units = tuple(unit for unit in units_of(member) if unit.stage in wanted)
    states = [store.check(unit, deep=deep, known=known) for unit in units]
    return Plan(member, units, tuple(_explain(unit, state, store) if explained else state for unit, state in zip(units, states, strict=True)))


def each_once(plans: Sequence[Plan]) -> list[Plan]:
    """The plans with the units to compute alone, each in the first plan that has it: run one after another, they compute nothing twice."""
    seen, left = set[Unit](), list[Plan]()
    for one in plans:
        own = [(unit, state) for unit, state in zip(one.units, one.freshness, strict=True) if not state.fresh and unit not in seen]
        seen.update(unit for unit, _ in own)
        left.append(Plan(one.member, tuple(unit for unit, _ in own), tuple(state for _, state in own)))
    return left


def _explain(unit: Unit, state: Freshness, store: Store) -> Freshness:
    return Freshness((*state.reasons, *explain_new(unit, store))) if state.reasons == (NEVER,) else state


def usable_plans(store: Store, broken: Broken, *, deep: bool = False, explained: bool = True) -> list[Plan]:
    """The plan of every member that can be planned. A unit that several members share is looked at once, if it is fresh.

    Args:
        store: where to look.
        broken: takes experiment files that break a rule or name files (a world, a model) that cannot be read.
        deep, explained: as for ``plan``.
    """
    plans, known = [], dict[Unit, Freshness]()
    for member in load_members(broken).values():
        known = {unit: state for unit, state in known.items() if state.fresh}  # reasons name inputs as each member calls them
        try:
            plans.append(plan(member, store, deep=deep, explained=explained, known=known))
        except IgsmError as error:
            broken[member.path] = naming(member.path, error)
    return plans


def find_unit(member: Member, stage: str, name: str) -> Unit:
    """One unit of a member by stage and name.

    Raises:
        NotFound: the stage has no such unit; the message lists those it has.
    """
    units = [unit for unit in units_of(member) if unit.stage == find_stage(stage).name]
    for unit in units:
        if unit.name == name:
            return unit
    raise NotFound(f"no unit {name!r} in stage {stage} of {member.key}: must be one of {', '.join(unit.name for unit in units)}")


def catalog_rows(store: Store) -> list[dict[str, Any]]:
    """Every fresh unit of every member as a row (member, stage, name, folder), as ``build_catalog`` takes them."""
    rows = []
    for looked in usable_plans(store, {}, explained=False):
        for unit, state in zip(looked.units, looked.freshness, strict=True):
            if state.fresh:
                rows.append({"member": looked.member.key, "stage": unit.stage, "name": unit.name, "labels": unit.labels, "folder": store.path(unit)})
    return rows
