"""The partition set: every member of every experiment, including archived ones, so that their history stays.

Ours: one static set for all assets; with a job over two partition sets the code location would not load.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping

import dagster as dg

from igsm_pipeline.defs.graph.links import reports_in
from igsm_pipeline.errors import IgsmError
from igsm_pipeline.experiments import Member, find_member, load_members
from igsm_pipeline.experiments.experiment import Broken
from igsm_pipeline.experiments.folders import BUILTIN
from igsm_pipeline.store import Store

BROKEN: Broken = {}
"""Experiment files that broke a rule when the code location was loaded; they are left out, and the others are not affected."""


def in_order(members: Mapping[str, Member], reported: Collection[str]) -> list[str]:
    """Keys of members as people look for them: those with a report, then those of one's own files, then single built-in ones, then built-in grids.

    Args:
        members: every member by key, in the order of the files.
        reported: keys of those that have a report.
    """
    size = Counter(member.experiment for member in members.values())

    def rank(key: str) -> tuple[bool, bool, bool]:
        member = members[key]
        return key not in reported, member.path.parent == BUILTIN, size[member.experiment] > 1

    return sorted(members, key=rank)


def reported() -> set[str]:
    """Keys of the members whose report is in the store, whoever computed it."""
    try:
        return {member for member, _, _ in reports_in(Store.at_home().root)}
    except (IgsmError, OSError):  # no data root yet, or one that cannot be read: other parts say so
        return set()


MEMBERS = dg.StaticPartitionsDefinition(in_order(load_members(BROKEN), reported()))
for _error in BROKEN.values():
    logging.getLogger(__name__).warning("left out: %s", _error)


def member_tags(member: str) -> dict[str, str]:
    """Run tags for the filters of Dagster's Runs page: experiment, model, family."""
    found = find_member(member)
    model, family = found.settings.model, found.settings.family
    size = f"GPT2-{model.layers}-{model.heads}"
    return {"igsm/member": member, "igsm/experiment": found.experiment, "igsm/model": size, "igsm/family": f"op{family.op_max}-{family.format}"}
