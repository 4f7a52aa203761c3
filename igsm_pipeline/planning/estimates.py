"""What stale units will cost on this machine: tokens, disk, seconds.

Disk is told from the settings (``experiments.disk``), so that the first run can be refused too. Seconds are scaled from the finished unit of the same
stage in this store whose work is nearest: training tokens times parameters for a checkpoint, problems for every other stage. Where that one
is more than ``FARTHEST`` times smaller or larger, or there is none, the seconds are zero and the unit counts as ``unknown``.

Ours: all of it; good to a factor of two or three.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from igsm_pipeline.errors import BadSettings, StoreError
from igsm_pipeline.planning.disk import disk_of, parameters_of
from igsm_pipeline.planning.planner import Plan
from igsm_pipeline.store import MANIFEST, Store, Unit, read_manifest

GIGABYTE = 1_000_000_000
FARTHEST = 100.0


@dataclass(frozen=True)
class Estimate:
    """What some units will cost.

    Attributes:
        tokens: training tokens seen.
        bytes: disk.
        seconds: time, one unit after another.
        unknown: units whose seconds no finished unit of their stage tells anything about.
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
    total, finished = Estimate(), dict[str, list[tuple[float, float]]]()
    for unit in units:
        if unit.stage not in finished:
            finished[unit.stage] = _finished(unit.stage, store)
        seconds = _seconds(_weight(unit), finished[unit.stage])
        tokens = work_of(unit) if unit.stage == "checkpoint" else 0
        total += Estimate(tokens, disk_of(unit), seconds or 0.0, int(seconds is None))
    return total


def _weight(unit: Unit) -> float:
    return float(work_of(unit)) * (max(1, parameters_of(unit.settings)) if unit.stage == "checkpoint" else 1)


def _seconds(weight: float, finished: Iterable[tuple[float, float]]) -> float | None:
    """Seconds for some work, scaled from the finished unit nearest to it; None where none is near."""
    near = [(abs(math.log(weight / other)), other, seconds) for other, seconds in finished if weight > 0 and other > 0]
    if not near or min(near)[0] > math.log(FARTHEST):
        return None
    _distance, other, seconds = min(near)
    return seconds * weight / other


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
        largest = max(estimates, key=lambda stage: estimates[stage].bytes)
        way_out = f"raise it, or make less of {largest}, the largest with {estimates[largest].bytes / GIGABYTE:.2f} GB"
        raise BadSettings("budget.disk_gb", f"must cover the plan's {need / GIGABYTE:.2f} GB", budget / GIGABYTE, way_out)
    root = next(folder for folder in (store.root, *store.root.parents) if folder.exists())
    free = shutil.disk_usage(root).free
    if need > free:
        raise BadSettings(
            str(store.root), f"must have {need / GIGABYTE:.2g} GB free", f"{free / GIGABYTE:.2g} GB", "free space or set IGSM_HOME to another disk"
        )


def _problems(stage: str, settings: Mapping[str, Any], inputs: Iterable[Unit]) -> int:
    if stage == "problem_sets":
        return int(settings["num_problems"])
    return sum(int(one.settings["num_problems"]) for one in inputs if one.stage == "problem_sets")


def _finished(stage: str, store: Store) -> list[tuple[float, float]]:
    """(work, seconds) of every finished unit of a stage."""
    found = []
    for path in (store.root / stage).glob(f"*/{MANIFEST}"):
        try:
            manifest = read_manifest(path.parent)
        except StoreError:
            continue
        counts = manifest["counts"]
        work = float(counts.get("tokens" if stage == "checkpoint" else "problems") or 0)
        if work and manifest["seconds"] > 0:
            found.append((work * (max(1, parameters_of(manifest["settings"])) if stage == "checkpoint" else 1), float(manifest["seconds"])))
    return found
