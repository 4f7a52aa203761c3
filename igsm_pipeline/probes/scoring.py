"""Scores of probes: a table of predictions goes in, a table of scores with confidence intervals comes out.

Each row has the number of queries, the number of problems, and 95% intervals, bootstrapped by problem (``intervals.bootstrap``). A query is positive
if its label is 1. In the task ``value``, whose classes are 0..M-1 and M for "not known yet", it is positive if the value is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from igsm_pipeline.errors import BadInput
from igsm_pipeline.intervals.bootstrap import (
    NUM_RESAMPLES,
    Floats,
    Ints,
    accuracy_of,
    accuracy_within,
    auroc_of,
    auroc_statistics,
    balanced_accuracy_of,
    balanced_gain_of,
    calibration_error,
    class_statistics,
    interval,
    mcc_of,
    mean_of,
    resample_sums,
)
from igsm_pipeline.intervals.interval import UNDEFINED, Interval
from igsm_pipeline.probes.stage import DISTANCES, METRICS
from igsm_pipeline.queries.tasks import TASKS

KEY_COLUMNS = ("problem", "task", "position", "parameter", "parameter_b")
"""Two queries of one slice differ in at least one of these columns."""

FLAG_COLUMNS = ("op", "necessary", "distance")
"""Columns that predictions copy from their queries: operations of the problem (int), whether the parameter is necessary (bool or null), and the
length of the shortest path from the query to it (int or null)."""

REQUIRED_COLUMNS = (*KEY_COLUMNS, "label", "prediction", "score", "probe", "layer", "slice", *FLAG_COLUMNS)
CONTROLS: Mapping[str, str] = {"v_probe": "random", "linear": "linear_random"}
MAJORITY = "majority"
MAX_DISTANCE = 8


METRICS_SCHEMA = METRICS.schema()
DISTANCE_SCHEMA = DISTANCES.schema()


@dataclass(frozen=True)
class Majority:
    """A guess that reads no state: the most common class of the training labels. Its score is the share of positive training labels."""

    prediction: int
    positive_share: float

    @classmethod
    def of(cls, counts: NDArray[np.integer]) -> Majority:
        """The guess from training labels. Of equally common classes it takes the lowest; without labels it takes class 0.

        Args:
            counts: how often each class occurred, (num_classes,).
        """
        positives = counts[1] if len(counts) == 2 else counts[:-1].sum()
        return cls(int(counts.argmax()), float(positives / max(1, counts.sum())))


@dataclass(frozen=True)
class _Queries:
    """Predictions of one probe, layer, task and slice: arrays of equal length, sorted by key."""

    label: Ints
    prediction: Ints
    score: Floats
    problem: Ints
    op: Ints
    necessary: Ints
    """1 yes, 0 no, -1 unknown."""

    def take(self, rows: NDArray[np.bool_] | slice) -> _Queries:
        return _Queries(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def guess(self, majority: Majority, num_classes: int) -> _Queries:
        score = majority.positive_share if num_classes == 2 else 1.0
        return _Queries(
            self.label, np.full_like(self.label, majority.prediction), np.full_like(self.score, score), self.problem, self.op, self.necessary
        )


def score_predictions(
    predictions: pa.Table,
    *,
    modulus: int,
    candidates: str,
    majority: Mapping[str, Majority] | None = None,
    chosen: Mapping[tuple[str, str], int] | None = None,
    controls: Mapping[str, str] = CONTROLS,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> pa.Table:
    """Score every probe, layer, task and slice of a predictions table: over all queries, by subset, and by number of operations.

    Args:
        predictions: a table with ``REQUIRED_COLUMNS``. Problem ids are unique within a slice; ``score`` is the probability of label 1 (two classes)
            or of the predicted class (``value``); ``layer`` is null for V-probes.
        modulus: M, the number of values; ``value`` has M + 1 classes.
        candidates: name of the candidate set, copied into every row.
        majority: task -> majority guess; each gives rows with probe "majority" and layer null.
        chosen: (task, probe) -> its chosen layer.
        controls: probe -> its control. If both were asked the same queries, rows of the probe have ``balanced_accuracy_gain`` (paired bootstrap).
        seed: seed of the bootstrap.
        num_resamples: number of bootstrap resamples.

    Returns:
        A table with ``METRICS_SCHEMA``. Subsets are: all; necessary and unnecessary (figure 7b) if the flag is known; known (task ``value``
        only: queries whose value is known). If a slice has problems of several op, the subset all also has a row for each op.

    Raises:
        BadInput: a column is missing, or a probe and its control were asked different queries.
    """
    _require(predictions, REQUIRED_COLUMNS)
    groups = _split(predictions)
    rows: list[dict[str, Any]] = []
    guessed: set[tuple[str, str]] = set()
    for (task, probe, layer, part), (queries, keys) in groups.items():
        num_classes = TASKS[task].classes(modulus)
        control = groups.get((task, controls.get(probe, ""), layer, part))
        if control is not None and control[1] != keys:
            raise BadInput(
                f"predictions: {task} {part}", f"must ask {probe} and {controls[probe]} the same queries", "different ones", "rerun both arms"
            )
        names = {"task": task, "candidates": candidates, "slice": part}
        subsets = list(_subsets(queries, task, num_classes))
        best = None if chosen is None else chosen.get((task, probe))
        which = {"probe": probe, "layer": layer, "chosen": None if best is None else layer == best}
        scored = _scores(queries, subsets, num_classes, None if control is None else control[0], seed, num_resamples)
        rows += [{**names, **which, "subset": subset, "op": op, **one} for (subset, op, _), one in zip(subsets, scored, strict=True)]
        if majority is not None and task in majority and (task, part) not in guessed:
            scored = _scores(queries.guess(majority[task], num_classes), subsets, num_classes, None, seed, num_resamples)
            rows += [{**names, "probe": MAJORITY, "subset": subset, "op": op, **one} for (subset, op, _), one in zip(subsets, scored, strict=True)]
        guessed.add((task, part))
    return pa.Table.from_pylist(rows, schema=METRICS_SCHEMA)


def score_distances(predictions: pa.Table, *, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> pa.Table:
    """Score the task nece on necessary parameters by their distance to the query, 1 to 8, per probe, layer and slice (figures 10 and 14).

    Args:
        predictions: a table with ``REQUIRED_COLUMNS``; rows of other tasks, of unnecessary parameters and of other distances are skipped.
        seed: seed of the bootstrap.
        num_resamples: number of bootstrap resamples.

    Returns:
        A table with ``DISTANCE_SCHEMA``: one row per probe, layer, slice and distance that occurs.

    Raises:
        BadInput: a column is missing.
    """
    _require(predictions, REQUIRED_COLUMNS)
    wanted = pc.and_(pc.equal(predictions["task"], "nece"), pc.fill_null(predictions["necessary"], False))
    wanted = pc.and_(
        wanted, pc.fill_null(pc.and_(pc.greater_equal(predictions["distance"], 1), pc.less_equal(predictions["distance"], MAX_DISTANCE)), False)
    )
    chosen = predictions.filter(wanted)
    chosen = chosen.append_column("hit", pc.cast(pc.equal(chosen["label"], chosen["prediction"]), pa.float64()))
    keys = ["task", "probe", "layer", "slice", "distance"]
    by_problem = chosen.group_by([*keys, "problem"]).aggregate([("hit", "sum"), ("hit", "count")])
    by_problem = by_problem.sort_by([(key, "ascending") for key in [*keys, "problem"]])
    sums = np.stack([by_problem["hit_sum"].to_numpy(), by_problem["hit_count"].to_numpy()], axis=1)
    table = []
    for values, rows in _runs(by_problem, keys):
        scored = interval(sums[rows], mean_of, seed=seed, num_resamples=num_resamples)
        counts = {"n": int(sums[rows, 1].sum()), "num_problems": len(sums[rows])}
        table.append({**dict(zip(keys, values, strict=True)), **counts, **scored.columns("accuracy")})
    return pa.Table.from_pylist(table, schema=DISTANCE_SCHEMA)


def _require(table: pa.Table, columns: tuple[str, ...]) -> None:
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise BadInput("predictions", f"must have the columns {', '.join(columns)}", f"no {', '.join(missing)}", "add them from the queries table")


def _runs(table: pa.Table, columns: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], slice]]:
    """Groups of a table that is sorted by some columns: their values, and the rows that have them."""
    groups = table.group_by(list(columns), use_threads=False).aggregate([([], "count_all")])  # one thread keeps the order of the rows
    start = 0
    for *values, count in zip(*(groups[name].to_pylist() for name in (*columns, "count_all")), strict=True):
        yield tuple(values), slice(start, start := start + count)


def _split(predictions: pa.Table) -> dict[tuple[str, str, int | None, str], tuple[_Queries, pa.Table]]:
    """The queries of every (task, probe, layer, slice) in key order, and their keys."""
    by = ("task", "probe", "layer", "slice")
    table = predictions.select(list(REQUIRED_COLUMNS)).sort_by([(name, "ascending") for name in (*by, *KEY_COLUMNS)]).combine_chunks()
    everything = _Queries(
        label=_ints(table["label"]),
        prediction=_ints(table["prediction"]),
        score=table["score"].to_numpy().astype(np.float64),
        problem=_ints(table["problem"]),
        op=_ints(table["op"]),
        necessary=_ints(pc.fill_null(pc.cast(table["necessary"], pa.int8()), -1)),
    )
    keys = table.select(list(KEY_COLUMNS))
    return {(task, probe, layer, part): (everything.take(rows), keys[rows]) for (task, probe, layer, part), rows in _runs(table, by)}


def _ints(column: pa.ChunkedArray) -> Ints:
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _positive(queries: _Queries, num_classes: int) -> NDArray[np.bool_]:
    return np.asarray(queries.label == 1 if num_classes == 2 else queries.label < num_classes - 1)


_Subset = tuple[str, int | None, NDArray[np.bool_]]


def _subsets(queries: _Queries, task: str, num_classes: int) -> Iterator[_Subset]:
    everything = np.ones(len(queries.label), dtype=bool)
    yield "all", None, everything
    if (queries.necessary >= 0).any():
        yield "necessary", None, queries.necessary == 1
        yield "unnecessary", None, queries.necessary == 0
    if TASKS[task].valued:
        yield "known", None, _positive(queries, num_classes)
    ops = np.unique(queries.op)
    if len(ops) > 1:
        for op in ops.tolist():
            yield "all", op, queries.op == op


def _scores(
    queries: _Queries, subsets: Sequence[_Subset], num_classes: int, control: _Queries | None, seed: int, num_resamples: int
) -> list[dict[str, Any]]:
    """Every score of some subsets of one probe's queries. All subsets share the resamples, which draw from all problems of the slice."""
    problems, index = np.unique(queries.problem, return_inverse=True)
    parts = [_Part(queries, control, mask, index, len(problems), num_classes) for _, _, mask in subsets]
    if len(problems) < 2:
        return [part.row(None) for part in parts]
    sums = resample_sums(np.concatenate([part.statistics for part in parts], axis=1), seed=seed, num_resamples=num_resamples)
    edges = np.cumsum([part.statistics.shape[1] for part in parts])[:-1]
    return [part.row(own) for part, own in zip(parts, np.split(sums, edges, axis=1), strict=True)]


class _Part:
    """One subset of a probe's queries.

    Attributes:
        statistics: the sums per problem of the slice that all scores are computed from: class statistics, those of the control, and those of AUROC.
    """

    def __init__(
        self, queries: _Queries, control: _Queries | None, mask: NDArray[np.bool_], index: Ints, num_problems: int, num_classes: int
    ) -> None:
        self.queries, self.num_classes, self.two = queries.take(mask), num_classes, num_classes == 2
        where: dict[str, Any] = {"num_problems": num_problems, "num_classes": num_classes}
        self.num_problems = len(np.unique(index[mask]))
        blocks = [class_statistics(self.queries.label, self.queries.prediction, index[mask], **where)]
        self.compared = control is not None
        if control is not None:
            blocks.append(class_statistics(control.label[mask], control.prediction[mask], index[mask], **where))
        self.auroc = math.nan
        if self.two:
            self.auroc, placements = auroc_statistics(self.queries.label, self.queries.score, index[mask], num_problems=num_problems)
            blocks.append(placements)
        self.statistics = np.concatenate(blocks, axis=1)

    def row(self, sums: Floats | None) -> dict[str, Any]:
        """The subset's cells of ``METRICS_SCHEMA``. ``sums`` are the resampled sums of its statistics; None gives scores without intervals."""
        width = 3 * self.num_classes
        yes, no = (slice(1, 2), slice(0, 1)) if self.two else (slice(0, self.num_classes - 1), slice(self.num_classes - 1, self.num_classes))
        true = self.statistics[:, : self.num_classes]
        hit = self.queries.label == self.queries.prediction
        row: dict[str, Any] = {"n": len(hit), "num_problems": self.num_problems}
        row |= {name: int(true[:, classes].sum()) for name, classes in (("positives", yes), ("negatives", no))}
        scores = {
            "accuracy": self._interval(sums, accuracy_of, 0, width),
            "balanced_accuracy": self._interval(sums, balanced_accuracy_of, 0, width),
            "accuracy_positive": self._within(sums, yes),
            "accuracy_negative": self._within(sums, no),
            "mcc": self._interval(sums, mcc_of, 0, width, scale=(-1.0, 1.0)),
            "auroc": UNDEFINED if math.isnan(self.auroc) else self._interval(sums, auroc_of(self.auroc), -4, None, exact=self.auroc),
            "balanced_accuracy_gain": self._interval(sums, balanced_gain_of, 0, 2 * width, scale=(-1.0, 1.0)) if self.compared else UNDEFINED,
        }
        row |= {name: value for score, found in scores.items() for name, value in found.columns(score).items()}
        row["ece"] = _number(calibration_error(self.queries.label if self.two else hit, self.queries.score))
        return row

    def _within(self, sums: Floats | None, classes: slice) -> Interval:
        """Accuracy where the true class is one of ``classes``; problems without such a query count neither as trials nor as problems."""
        behind = int(self.statistics[:, : self.num_classes][:, classes].any(axis=1).sum())
        return self._interval(sums, accuracy_within(classes), 0, 3 * self.num_classes, num_problems=behind)

    def _interval(self, sums: Floats | None, score: Callable[[Floats], Floats], first: int, last: int | None, **more: Any) -> Interval:
        own = self.statistics[:, first:last]
        return interval(own, score, resampled=None if sums is None else sums[:, first:last], **more)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
