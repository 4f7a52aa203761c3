"""The partition set: every member of every experiment, including archived ones, so that their history stays.

Ours: one static set for all assets; with a job over two partition sets the code location would not load.
"""

from __future__ import annotations

import logging

import dagster as dg

from igsm_pipeline.experiments import find_member, load_members
from igsm_pipeline.experiments.experiment import Broken

BROKEN: Broken = {}
"""Experiment files that broke a rule when the code location was loaded; they are left out, and the others are not affected."""
MEMBERS = dg.StaticPartitionsDefinition(list(load_members(BROKEN)))
for _error in BROKEN.values():
    logging.getLogger(__name__).warning("left out: %s", _error)


def member_tags(member: str) -> dict[str, str]:
    """Run tags for the filters of Dagster's Runs page: experiment, model, family."""
    found = find_member(member)
    model, family = found.settings.model, found.settings.family
    size = f"GPT2-{model.layers}-{model.heads}"
    return {"igsm/member": member, "igsm/experiment": found.experiment, "igsm/model": size, "igsm/family": f"op{family.op_max}-{family.format}"}
