"""What stale units will cost on this machine: tokens, disk, seconds.

Disk and work are told from the settings, by the stages' own declarations, so that the first run can be refused too. Seconds are scaled from the
finished unit of the same stage in this store whose work is nearest. Where that one is more than ``FARTHEST`` times smaller or larger, or there
is none, the seconds are zero and the unit counts as ``unknown``.

Ours: all of it; good to a factor of two or three.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from igsm_pipeline.errors import BadSettings, StoreError
from igsm_pipeline.planning.flow import STAGES
from igsm_pipeline.planning.planner import Plan
from igsm_pipeline.store import MANIFEST, Store, Unit, read_manifest
from igsm_pipeline.training.stage import training_tokens

GIGABYTE = 1_000_000_000
FOLDER_BYTES = 16_384
"""Of any unit: manifest, Parquet footers."""
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
        seconds = _seconds(work_of(unit), finished[unit.stage])
        tokens = training_tokens(unit) if unit.stage == "checkpoint" else 0
        total += Estimate(tokens, disk_of(unit), seconds or 0.0, int(seconds is None))
    return total


def _seconds(weight: float, finished: Iterable[tuple[float, float]]) -> float | None:
    """Seconds for some work, scaled from the finished unit nearest to it; None where none is near."""
    near = [(abs(math.log(weight / other)), other, seconds) for other, seconds in finished if weight > 0 and other > 0]
    if not near or min(near)[0] > math.log(FARTHEST):
        return None
    _distance, other, seconds = min(near)
    return seconds * weight / other


def disk_of(unit: Unit) -> int:
    """Bytes that a unit will take at most while it is made, expected."""
    return FOLDER_BYTES + round(STAGES[unit.stage].disk(unit))


def work_of(unit: Unit) -> float:
    """What is to be done for a unit, in its stage's own measure; at least 1."""
    return max(1.0, STAGES[unit.stage].work(unit))


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


def _finished(stage: str, store: Store) -> list[tuple[float, float]]:
    """(work, seconds) of every finished unit of a stage."""
    found = []
    for path in (store.root / stage).glob(f"*/{MANIFEST}"):
        try:
            unit, manifest = _unit_of(path.parent, store), read_manifest(path.parent)
            if manifest["seconds"] > 0:
                found.append((work_of(unit), float(manifest["seconds"])))
        except (StoreError, KeyError, TypeError, ValueError):
            continue  # a damaged manifest, or one of settings that the stage no longer has
    return found


def _unit_of(folder: Path, store: Store) -> Unit:
    """The unit behind a finished folder, its inputs from their own folders."""
    manifest = read_manifest(folder)
    inputs = {role: _unit_of(store.root / entry["stage"] / entry["fingerprint"], store) for role, entry in manifest["inputs"].items()}
    return Unit(manifest["stage"], manifest["name"], manifest["version"], manifest["settings"], inputs)
