"""What must hold of queries: labels of both kinds, in the shares of the draw, and problems of training and test apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from igsm_pipeline.problems.checks import problems_of
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.queries.draw import list_queries
from igsm_pipeline.queries.settings import QuerySetSettings, QuerySettings
from igsm_pipeline.queries.tasks import TASKS, TaskName
from igsm_pipeline.queries.write import read_queries
from igsm_pipeline.stage import Outcome, StageUnits
from igsm_pipeline.store import Unit

SAMPLED_PROBLEMS = 256
_Z_LIMIT = 6.0
_LEAST_CHANCE = 1e-9


def labels_of_both_kinds(run: StageUnits) -> Outcome:
    """Every training set of queries holds more than one label, as far as its problems offer another: a probe of one class would learn nothing.

    A set of one label passes, and is told, where drawing nothing else was likely: few problems, or a family in which there is nothing to tell apart.
    Ours: likely means more than once in 10^9 draws.
    """
    poor, by_chance = list[str](), list[str]()
    for unit in run.units:
        if "train" not in unit.name:
            continue
        settings = QuerySetSettings.parse(unit.settings, unit.name)
        for task in settings.tasks:
            drawn = read_queries(run.store.path(unit), task)
            labels = drawn["label"].unique().to_pylist()
            if not labels:
                poor.append(f"{task} of {unit.name} has no query: raise probes.num_problems, or leave the task out")
            elif len(labels) == 1:
                chance = _log_chance_of(labels[0], _sample(run, unit, settings), settings.of(task))
                (poor if chance < math.log(_LEAST_CHANCE) else by_chance).append(f"{task} of {unit.name} has only the label {labels[0]}")
    told = f"{'; '.join(by_chance)}, as its problems offer hardly another" if by_chance else "every training set holds more than one label"
    return Outcome(not poor, "; ".join(poor) or told, {"sets of one label": "; ".join(poor + by_chance)})


def _log_chance_of(label: int, batch: ProblemBatch, settings: QuerySettings) -> float:
    """Logarithm of the chance that the draws of some problems, without replacement, all have one label."""
    offered = list_queries(batch, settings)
    problem, same = offered["problem"].to_numpy(), offered["label"].to_numpy() == label
    there, alike = (np.bincount(problem[mask], minlength=len(batch)) for mask in (np.ones(len(problem), bool), same))
    chance = 0.0
    for all_, good in zip(there.tolist(), alike.tolist(), strict=True):
        number = min(all_, settings.per_problem)
        if good < number:
            return -math.inf
        chance += math.log(math.comb(good, number) / math.comb(all_, number))
    return chance


def _sample(run: StageUnits, unit: Unit, settings: QuerySetSettings) -> ProblemBatch:
    """The first problems that a unit asks about, at most ``SAMPLED_PROBLEMS``."""
    return problems_of(run, unit, settings.family.modulus).take(slice(0, min(SAMPLED_PROBLEMS, settings.first or SAMPLED_PROBLEMS)))


def label_shares(run: StageUnits) -> Outcome:
    """Labels are those of the declared draw: as many positives as drawing queries of each problem without replacement gives, natural shares."""
    wrong, shares = [], {}
    for unit in run.units:
        settings = QuerySetSettings.parse(unit.settings, unit.name)
        sample = _sample(run, unit, settings)
        for task in settings.tasks:
            modulus = settings.family.modulus
            every, drawn = (
                _positives(table, task, modulus, len(sample))
                for table in (list_queries(sample, settings.of(task)), read_queries(run.store.path(unit), task))
            )
            number, there, share = drawn[0], np.maximum(every[0], 1), every[1] / np.maximum(every[0], 1)
            expected = float((number * share).sum())
            spread = math.sqrt(float((number * share * (1 - share) * (there - number) / np.maximum(there - 1, 1)).sum()))
            found = float(drawn[1].sum())
            shares[f"{task}, {unit.name}"] = round(found / max(1, number.sum()), 4)
            if (number != np.minimum(every[0], settings.per_problem)).any() or abs(found - expected) > _Z_LIMIT * spread + 1e-6:
                wrong.append(f"{unit.name} {task}: {found:.0f} positives of {number.sum():.0f} where {expected:.0f} must be near")
    return Outcome(not wrong, "; ".join(wrong) or f"{len(shares)} shares of positive labels are those of the draw", {"positive shares": shares})


def _positives(table: Any, task: TaskName, modulus: int, num_problems: int) -> tuple[Any, Any]:
    """Queries and positive labels of each of the first problems, (num_problems,) each."""
    problem, label = table["problem"].to_numpy(), table["label"].to_numpy()
    inside = problem < num_problems
    positive = TASKS[task].positive(label, modulus)
    number, positives = (np.bincount(problem[inside], weights=one[inside], minlength=num_problems) for one in (np.ones(len(problem)), positive))
    return number, positives


def probed_apart(run: StageUnits) -> Outcome:
    """No hash bin of the problems that probes are trained on occurs in a slice that they are tested on (reask stands outside)."""
    bins: dict[bool, set[int]] = {True: set(), False: set()}
    for unit in run.units:
        problems = unit.inputs["problems"]
        if not problems.settings["reask"]:
            for path in run.store.path(problems).glob("*.parquet"):
                bins["train" in unit.name] |= set(pq.read_table(path, columns=["split_bin"])["split_bin"].unique().to_pylist())
    shared = bins[True] & bins[False]
    return Outcome(not shared, f"bins on both sides: {sorted(shared)}" if shared else "probes are trained and tested on different bins")
