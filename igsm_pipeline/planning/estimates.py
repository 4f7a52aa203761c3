"""The cost of stale units: tokens, disk, memory of a GPU, and a range of seconds.

Disk, memory and work follow from the settings, by the stages' declarations, so that even a first run can be refused. Seconds are work divided by
the speeds of a machine, measured or assumed (``planning.speeds``). If the store has finished units of the same stage with similar work (at most
``FARTHEST`` times smaller or larger), the seconds are corrected by the median of what these took, divided by what was expected of them. Without
speeds and finished units the seconds are zero, and the unit counts as ``unknown``.

Ours: all of it; good to a factor of two or three.
"""

from __future__ import annotations

import math
import shutil
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from igsm_pipeline.costs import FORWARD, network_behind
from igsm_pipeline.errors import BadSettings, StoreError
from igsm_pipeline.planning.flow import STAGES
from igsm_pipeline.planning.planner import Plan, each_once
from igsm_pipeline.planning.speeds import TOGETHER, Speeds
from igsm_pipeline.stage import Stage
from igsm_pipeline.store import MANIFEST, Store, Unit, read_manifest
from igsm_pipeline.training.stage import training_tokens

GIGABYTE = 1_000_000_000
FOLDER_BYTES = 16_384
"""Bytes that every unit takes: its manifest, and the footers of its Parquet files."""
FARTHEST = 100.0
NEAREST = 9
"""Most finished units that correct an estimate: those with the most similar work."""
LIKE = 3.0
"""Units whose work is further off than this factor, relative to the nearest, are not used for a correction."""
SURE = 1.25
"""An estimate that finished units correct is uncertain by at least this factor, up and down; if a single unit corrects it, by its square."""
SHORT_S = 1.0
"""Units that took fewer seconds, or were expected to, are not used for a correction."""

LIGHT_START = 0.1
"""Share of the seconds of a start that a stage needs which loads neither torch nor kernels."""
THREADED = 0.6
"""A forward pass on n cores is n to this power times as fast as on one. From a finished ``mini``."""
_Rebuilt = dict[Path, tuple[Unit, float]]
"""Folder of a finished unit -> the unit, and the seconds that it took."""


@dataclass(frozen=True)
class Estimate:
    """The cost of some units.

    Attributes:
        tokens: training tokens, without padding.
        bytes: disk.
        seconds: time, the middle of the range.
        low: time, if everything is as fast as it may be.
        high: time, if everything is as slow as it may be.
        unknown: number of units without any estimate of seconds.
        memory: bytes of a GPU that the largest unit needs.
        corrected: number of units whose seconds are corrected by finished units of this store.
    """

    tokens: int = 0
    bytes: int = 0
    seconds: float = 0.0
    low: float = 0.0
    high: float = 0.0
    unknown: int = 0
    memory: float = 0.0
    corrected: int = 0

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(
            self.tokens + other.tokens,
            self.bytes + other.bytes,
            self.seconds + other.seconds,
            self.low + other.low,
            self.high + other.high,
            self.unknown + other.unknown,
            max(self.memory, other.memory),
            self.corrected + other.corrected,
        )


def estimate_stages(plan: Plan, store: Store, speeds: Speeds | None = None, *, corrected: bool = True) -> dict[str, Estimate]:
    """Estimate the cost of every stale stage of a plan. A stage that uses several cores takes less time accordingly.

    Args:
        plan: the plan.
        store: the store whose finished units are used.
        speeds: the machine's speeds; None: seconds follow from finished units only.
        corrected: correct the seconds by finished units; not for another machine than the one that made them.
    """
    found, read = {}, _Rebuilt()
    for name in plan.stale_stages:
        units, stage = [unit for unit in plan.stale if unit.stage == name], STAGES[name]
        cost = estimate(units, store, speeds, corrected=corrected, read=read)
        if speeds is not None:
            beside = _beside(stage, units, speeds)
            start = 0.0 if cost.corrected == len(units) else speeds.start * (LIGHT_START if stage.light else 1.0)
            cost = _scaled(cost, 1 / beside, start)
        found[name] = cost
    return found


def estimate_together(plans: Sequence[Plan], store: Store, speeds: Speeds | None = None, *, corrected: bool = True) -> Estimate:
    """Estimate the cost of several plans, one after another; what they share counts once. Arguments as for ``estimate_stages``."""
    costs = [estimate_stages(one, store, speeds, corrected=corrected) for one in each_once(plans)]
    return sum((cost for one in costs for cost in one.values()), Estimate())


def _beside(stage: Stage, units: Sequence[Unit], speeds: Speeds) -> float:
    """How many times faster a stage is for the cores or cards that it keeps busy with these units, which are taken to be of one size."""
    if stage.workers:
        return speeds.cores
    if stage.torch and speeds.on_gpu:
        if speeds.cards > 1 and len(units) == 1 and stage.cards(units[0]) == 0:
            return TOGETHER * speeds.cards
        return len(units) / math.ceil(len(units) / speeds.cards)
    if stage.torch and not stage.parallel and stage.arithmetic == FORWARD:
        return float(speeds.cores**THREADED)
    return min(speeds.cores, len(units)) if stage.parallel else 1


def _scaled(cost: Estimate, factor: float, start: float) -> Estimate:
    seconds, low, high = (one * factor + start for one in (cost.seconds, cost.low, cost.high))
    return Estimate(cost.tokens, cost.bytes, seconds, low, high, cost.unknown, cost.memory, cost.corrected)


def estimate(units: Iterable[Unit], store: Store, speeds: Speeds | None = None, *, corrected: bool = True, read: _Rebuilt | None = None) -> Estimate:
    """Estimate the cost of units, computed one after another on one core or device.

    Args:
        units, store, speeds, corrected: as for ``estimate_stages``.
        read: finished units that earlier calls have read, to read each once; filled by this one.
    """
    read = _Rebuilt() if read is None else read
    total, finished = Estimate(), dict[str, list[tuple[float, float]]]()
    for unit in units:
        if unit.stage not in finished:
            finished[unit.stage] = _finished(unit.stage, store, read) if corrected else []
        low, high, known = _seconds(unit, finished[unit.stage], speeds)
        tokens = training_tokens(unit, _counted_fill(unit, store)) if unit.stage == "checkpoint" else 0
        memory = STAGES[unit.stage].memory(unit)
        total += Estimate(tokens, disk_of(unit), math.sqrt(low * high), low, high, int(high == 0), memory, int(known))
    return total


def _seconds(unit: Unit, finished: Sequence[tuple[float, float]], speeds: Speeds | None) -> tuple[float, float, bool]:
    """Least and most seconds of a unit, and whether finished units corrected them; zeros if nothing is known."""
    work = work_of(unit)
    least, most = _expected(unit, speeds)
    expected = math.sqrt(least * most) or work  # without speeds, seconds are in proportion to the work
    near = sorted((abs(math.log(work / other)), seconds / other) for other, seconds in finished if other > 0 and seconds >= SHORT_S)
    near = [one for one in near if one[0] <= min(math.log(FARTHEST), near[0][0] + math.log(LIKE))][:NEAREST]
    if not near or (speeds is not None and expected < SHORT_S):
        return least, most, False
    paces = [pace for _distance, pace in near]
    middle = work * statistics.median(paces)
    if len(paces) == 1:
        return middle / SURE**2, middle * SURE**2, True
    return min(middle / SURE, work * min(paces)), max(middle * SURE, work * max(paces)), True


def _expected(unit: Unit, speeds: Speeds | None) -> tuple[float, float]:
    """Least and most seconds from work and speeds alone; zeros without speeds."""
    stage, work = STAGES[unit.stage], work_of(unit)
    if speeds is None:
        return 0.0, 0.0
    if not stage.arithmetic:
        return work / speeds.core / 1.6, work / speeds.core * 1.6
    training = unit.settings.get("training") or {}
    precision = str(unit.settings.get("precision") or training.get("precision") or "fp32")
    precision = {"auto": "bf16" if speeds.on_gpu else "fp32"}.get(precision, precision)
    low, high = speeds.rate(stage.arithmetic, network_behind(unit).width, precision)
    return work / high, work / low


def _counted_fill(unit: Unit, store: Store) -> float | None:
    """Share of real tokens in a training's shards, if they have been counted."""
    shards = unit.inputs.get("shards")
    try:
        return None if shards is None else float(store.manifest(shards)["counts"]["fill"])
    except (StoreError, KeyError, TypeError, ValueError):
        return None


def disk_of(unit: Unit) -> int:
    """Most bytes that a unit is expected to take while it is made."""
    return FOLDER_BYTES + round(STAGES[unit.stage].disk(unit))


def work_of(unit: Unit) -> float:
    """The work of a unit, in its stage's own measure; more than 0."""
    return max(1e-3, STAGES[unit.stage].work(unit))


def check_budget(plan: Plan, estimates: Mapping[str, Estimate], store: Store | None) -> None:
    """Refuse a plan that needs more disk than the member's budget allows, or than the disk of the store has; None: that of another machine.

    Raises:
        BadSettings: it names the need and the limit.
    """
    need = sum((one.bytes for one in estimates.values()), 0)
    budget = plan.member.settings.budget.disk_gb * GIGABYTE
    largest = max(estimates, key=lambda stage: estimates[stage].bytes)
    less = f"make less of {largest}, the largest with {gigabytes(estimates[largest].bytes)}"
    if need > budget:
        raise BadSettings("budget.disk_gb", f"must cover the plan's {gigabytes(need)}", budget / GIGABYTE, f"raise it, or {less}")
    if store is not None:
        check_free(need, store, less)


def check_free(need: int, store: Store, less: str) -> None:
    """Refuse what needs more disk than there is.

    Args:
        need: bytes.
        store: on this disk.
        less: how less would do.

    Raises:
        BadSettings: it names the need and what is free.
    """
    root = next(folder for folder in (store.root, *store.root.parents) if folder.exists())
    free = shutil.disk_usage(root).free
    if need > free:
        way_out = f"free space, set IGSM_HOME to another disk, or {less}"
        raise BadSettings(str(store.root), f"must have {gigabytes(need)} free", gigabytes(free), way_out)


def gigabytes(count: float) -> str:
    """A number of bytes as gigabytes: "0.02 GB", "1.2 GB", "113 GB"."""
    value = count / GIGABYTE
    return f"{value:.2f} GB" if value < 1 else f"{value:.1f} GB" if value < 100 else f"{value:.0f} GB"


def _finished(stage: str, store: Store, read: _Rebuilt) -> list[tuple[float, float]]:
    """Work and seconds of every finished unit of a stage."""
    found = []
    for path in (store.root / stage).glob(f"*/{MANIFEST}"):
        try:
            unit, seconds = _rebuild(path.parent, store, read)
            if seconds > 0:
                found.append((work_of(unit), seconds))
        except (StoreError, LookupError, TypeError, ValueError, StopIteration):
            continue  # the manifest is damaged, or has settings or inputs that the stage no longer has
    return found


def _rebuild(folder: Path, store: Store, read: _Rebuilt) -> tuple[Unit, float]:
    """The unit of a finished folder, its inputs from their folders, and its seconds; every folder is read once."""
    if folder not in read:
        manifest = read_manifest(folder)
        inputs = {role: _rebuild(store.root / entry["stage"] / entry["fingerprint"], store, read)[0] for role, entry in manifest["inputs"].items()}
        unit = Unit(manifest["stage"], manifest["name"], manifest["version"], manifest["settings"], inputs)
        read[folder] = unit, float(manifest["seconds"])
    return read[folder]
