"""Numbers of an experiment that is run with several seeds: means over them, with intervals over model seeds, probe seeds and problems."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from igsm_pipeline.experiments.experiment import Member
from igsm_pipeline.intervals.bootstrap import Floats, balanced_accuracy_of, balanced_gain_of, class_statistics, mean_of
from igsm_pipeline.intervals.hierarchy import Covered, seeds_interval
from igsm_pipeline.probes.stage import PREDICTIONS
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.reports.page import Cell, Page, interval_cell
from igsm_pipeline.reports.results import slice_name, task_name
from igsm_pipeline.stage import Role
from igsm_pipeline.store import Store, Unit
from igsm_pipeline.toolbox.found import Found

MODEL_AXES = frozenset({"training.seed", "seed"})
"""Axes whose members are another model of one size."""
PROBE_AXES = frozenset({"probes.seed"})
"""Axes whose members are the same model, probed anew."""
Level = dict[str, dict[str, Floats]]
"""Model seed -> probe seed -> sums per problem."""


@dataclass(frozen=True)
class OverSeeds:
    """One number of one size.

    Attributes:
        size: labels of the members' axes, without seeds; the experiment's name where there is no other axis.
        what: of what it is a number, as it is told.
        slice: the slice.
        covered: mean and interval, and what the interval covers.
    """

    size: str
    what: str
    slice: str
    covered: Covered


def size_of(member: Member) -> str:
    """Labels of a member's axes, without seeds; "" where there is no other axis."""
    return ".".join(label for axis, label in member.labels.items() if axis not in MODEL_AXES | PROBE_AXES)


def model_of(member: Member) -> str:
    """Which model of its size a member has: its experiment and the labels of all axes but those of probe seeds."""
    return ".".join([member.experiment, *(label for axis, label in member.labels.items() if axis not in PROBE_AXES)])


def over_seeds(found: Sequence[Found], store: Store) -> list[OverSeeds]:
    """Every number that at least two finished members tell of the same problems: what is solved, then what V-probes read."""
    told: list[OverSeeds] = []
    for size in dict.fromkeys(size_of(one.member) for one in found):
        own = [one for one in found if size_of(one.member) == size]
        for what, part, level, score, scale in (*_solved(own), *_probed(own, store)):
            if sum(map(len, level.values())) > 1:
                sums = _as_long([list(probes.values()) for probes in level.values()])
                told.append(OverSeeds(size or own[0].member.experiment, what, part, seeds_interval(sums, score, scale=scale)))
    return told


Number = tuple[str, str, Level, Callable[[Floats], Floats], tuple[float, float]]
_SHARE, _DIFFERENCE = (0.0, 1.0), (-1.0, 1.0)


def _solved(found: Sequence[Found]) -> Iterator[Number]:
    """Shares of fully correct solutions; members that share a model count once."""
    levels: dict[tuple[str, int, str], Level] = {}
    for one in found:
        same = {(unit.labels["slice"], int(unit.labels["beams"])): _problems(unit) for unit in one.units if unit.stage == "verdicts"}
        for (part, beams), right in one.correct.items():
            sums = np.stack([right.astype(np.float64), np.ones(len(right))], axis=1)
            levels.setdefault((part, beams, same[part, beams]), {})[model_of(one.member)] = {"": sums}
    for (part, beams, _), level in levels.items():
        yield "fully correct" + (f", beam {beams}" if beams > 1 else ""), part, level, mean_of, _SHARE


def _probed(found: Sequence[Found], store: Store) -> Iterator[Number]:
    """Balanced accuracy of V-probes, of the same on random weights, and the difference."""
    levels: dict[tuple[str, str, str], dict[str, Level]] = {}
    for member, units in ((one.member, one.scored) for one in found):
        for unit in units:
            columns = ["task", "probe", "problem", "label", "prediction"]
            table = pq.read_table(store.path(unit) / PREDICTIONS.files, columns=columns, filters=[("probe", "in", ["v_probe", "random"])])
            for task in dict.fromkeys(table["task"].to_pylist()):
                sums = _sums(table, task, member.settings.family.modulus)
                kept = levels.setdefault((task, str(unit.labels["slice"]), _problems(unit)), {})
                for what, one in sums.items():
                    kept.setdefault(what, {}).setdefault(model_of(member), {})[member.key] = one
    for (task, part, _), kept in levels.items():
        for what, level in kept.items():
            score, scale = (balanced_gain_of, _DIFFERENCE) if what == _GAIN else (balanced_accuracy_of, _SHARE)
            yield f"{task_name(task)}, {what}", part, level, score, scale


_GAIN = "gain over random weights"
_READERS = {"v_probe": "V-probe", "random": "random weights"}


def _sums(table: pa.Table, task: str, modulus: int) -> dict[str, Floats]:
    """Class statistics per problem, (num_problems, columns), by what they are of."""
    found: dict[str, Floats] = {}
    own = table.filter(pc.equal(table["task"], task))
    number = int(own["problem"].to_numpy().max(initial=-1)) + 1
    for probe, what in _READERS.items():
        one = own.filter(pc.equal(own["probe"], probe))
        if len(one):
            label, said, problem = (one[name].to_numpy().astype(np.int64) for name in ("label", "prediction", "problem"))
            found[what] = class_statistics(label, said, problem, num_problems=number, num_classes=TASKS[task].classes(modulus))
    if len(found) == len(_READERS):
        found[_GAIN] = np.concatenate([found[what] for what in _READERS.values()], axis=1)
    return found


def _problems(unit: Unit) -> str:
    return unit.inputs[Role("problems")].fingerprint


def _as_long(sums: Sequence[Sequence[Floats]]) -> list[list[Floats]]:
    """The same sums with as many problems everywhere: a problem that nobody asked about has none."""
    longest = max(len(one) for model in sums for one in model)
    return [[np.pad(one, ((0, longest - len(one)), (0, 0))) for one in model] for model in sums]


def write_over_seeds(page: Page, found: Sequence[OverSeeds], op_max: int) -> None:
    """The section of a grid's page; nothing where nothing is repeated."""
    if not found:
        return
    page.section("What do other seeds change?", *_findings(found, op_max))
    page.how(
        "Means over seeds. Their intervals hold what another model seed, another probe seed and other problems would change: all are drawn anew.",
        "The intervals elsewhere on this page are of one model, by problem: they do not cover seeds.",
    )
    lines: list[tuple[Cell, ...]] = [
        (one.what, slice_name(one.slice, op_max), one.size, interval_cell(one.covered.interval), _from_problems(one), one.covered.covers)
        for one in found
    ]
    head = ("what", "problems", "member", "mean, %", "of the variance, from problems", "covers")
    names = ("what", "slice", "size", "mean", "low", "high", "models", "probes", "problems", "share_from_problems")
    file = [
        (
            one.what,
            one.slice,
            one.size,
            *one.covered.interval[:3],
            one.covered.models,
            max(one.covered.probes),
            one.covered.interval.n,
            one.covered.by_problem,
        )
        for one in found
    ]
    page.fold("over_seeds", head, lines, "Percent, or points of balanced accuracy; 95% over seeds and problems.", (names, file))


def _from_problems(one: OverSeeds) -> str:
    share = one.covered.by_problem
    return "-" if np.isnan(share) else f"{100 * share:.0f} %"


def _findings(found: Sequence[OverSeeds], op_max: int) -> list[str]:
    """One sentence per size on what is solved, and one on the gains that hold over seeds."""
    told = [
        f"{one.size}, {slice_name(one.slice, op_max)}: {one.covered.interval.percent()} % {one.what} ({one.covered.covers})."
        for one in found
        if one.what.startswith("fully correct")
    ]
    gains = [one for one in found if one.what.endswith(_GAIN)]
    sure = [one for one in gains if one.covered.interval.low > 0]
    if gains:
        told.append(f"Of {len(gains)} gains of V-probes over random weights, {len(sure)} hold over seeds: their whole interval is above 0.")
    return told[:8]
