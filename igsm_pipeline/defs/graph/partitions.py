"""The one partition set: every member of every experiment, archived ones included, so that their history stays.

Ours: one static set for all assets; a job over two partition sets keeps the whole code location from loading.
"""

from __future__ import annotations

import logging

import dagster as dg

from igsm_pipeline.experiments import find_member, load_members
from igsm_pipeline.experiments.experiment import Broken

BROKEN: Broken = {}
"""Experiment files that broke a rule when the code location was loaded: they are left out and cost the others nothing."""
MEMBERS = dg.StaticPartitionsDefinition(list(load_members(BROKEN)))
for _error in BROKEN.values():
    logging.getLogger(__name__).warning("left out: %s", _error)


def member_tags(member: str) -> dict[str, str]:
    """Run tags that give Dagster's Runs page its filters: experiment, model, family."""
    found = find_member(member)
    model, family = found.settings.model, found.settings.family
    size = f"GPT2-{model.layers}-{model.heads}"
    return {"igsm/member": member, "igsm/experiment": found.experiment, "igsm/model": size, "igsm/family": f"op{family.op_max}-{family.format}"}
