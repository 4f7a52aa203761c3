"""What stale units will cost on this machine: tokens, disk, seconds.

Seconds and bytes are scaled from what finished units of the same stage in this store took per unit of work: the median over those units.
Work is training tokens for a checkpoint and problems for every other stage. A stage that this store has never finished has no estimate:
its seconds are zero and it is listed in ``unknown``.

Ours: all of it; good to a factor of two or three.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from igsm_pipeline.errors import BadSettings, StoreError
from igsm_pipeline.experiments.planner import Plan
from igsm_pipeline.store import MANIFEST, Store, Unit, read_manifest

GIGABYTE = 1_000_000_000


@dataclass(frozen=True)
class Estimate:
    """What some units will cost.

    Attributes:
        tokens: training tokens seen.
        bytes: disk.
        seconds: time, one unit after another.
        unknown: units that no finished unit of their stage tells anything about.
    """

    tokens: int = 0
    bytes: int = 0
    seconds: float = 0.0
    unknown: int = 0

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.tokens + other.tokens, self.bytes + other.bytes, self.seconds + other.seconds, self.unknown + other.unknown)


def estimate_stages(plan: Plan, store: Store) -> dict[str, Estimate]:
    """The cost of every stale stage of a plan."""
    found: dict[str, Estimate] = {}
    for unit in plan.stale:
        found[unit.stage] = found.get(unit.stage, Estimate()) + estimate([unit], store)
    return found


def estimate(units: Iterable[Unit], store: Store) -> Estimate:
    """What computing the units will cost, one after another."""
    total, rates = Estimate(), {}
    for unit in units:
        if unit.stage not in rates:
            rates[unit.stage] = _rates(unit.stage, store)
        work, rate = work_of(unit), rates[unit.stage]
        tokens = work if unit.stage == "checkpoint" else 0
        total += Estimate(tokens, unknown=1) if rate is None else Estimate(tokens, round(rate[0] * work), rate[1] * work)
    return total


def work_of(unit: Unit) -> int:
    """Training tokens of a checkpoint (none of a foreign one), problems behind any other unit; 1 where these are not known."""
    if unit.stage == "checkpoint":
        shards = unit.inputs.get("shards")
        windows, training = shards.settings if shards is not None else unit.settings.get("stream"), unit.settings.get("training")
        return int(training["num_steps"]) * int(training["batch_windows"]) * int(windows["window"]) if training and windows else 0
    return max(1, _problems(unit.stage, unit.settings, unit.inputs.values()))


def check_budget(plan: Plan, estimates: Mapping[str, Estimate], store: Store) -> None:
    """Refuse a plan that needs more disk than the member declares or the machine has.

    Raises:
        BadSettings: names the need and the limit.
    """
    need = sum((one.bytes for one in estimates.values()), 0)
    budget = plan.member.settings.budget.disk_gb * GIGABYTE
    if need > budget:
        raise BadSettings("budget.disk_gb", f"must cover the plan's {need / GIGABYTE:.2f} GB", budget / GIGABYTE, "raise it or make fewer problems")
    root = next(folder for folder in (store.root, *store.root.parents) if folder.exists())
    free = shutil.disk_usage(root).free
    if need > free:
        raise BadSettings(str(store.root), f"must have {need / GIGABYTE:.2f} GB free", free / GIGABYTE, "free space or set IGSM_HOME to another disk")


def _problems(stage: str, settings: Mapping[str, Any], inputs: Iterable[Unit]) -> int:
    if stage == "problem_sets":
        return int(settings["num_problems"])
    return sum(int(one.settings["num_problems"]) for one in inputs if one.stage == "problem_sets")


def _rates(stage: str, store: Store) -> tuple[float, float] | None:
    """(bytes, seconds) per unit of work, medians over the finished units of a stage."""
    sizes, seconds = [], []
    for path in (store.root / stage).glob(f"*/{MANIFEST}"):
        try:
            manifest = read_manifest(path.parent)
        except StoreError:
            continue
        work = int(manifest["counts"].get("tokens" if stage == "checkpoint" else "problems") or 0)
        if work:
            sizes.append(manifest["bytes"] / work)
            seconds.append(manifest["seconds"] / work)
    return (median(sizes), median(seconds)) if sizes else None
