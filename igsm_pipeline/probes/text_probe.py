"""The text probe: gradient-boosted trees on local features of the text, no model. What it knows, a probe need not have from the model's mind.

Source: the recipe is scikit-learn's (histogram gradient boosting, its defaults). Ours: that every probe is compared with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from igsm_pipeline.errors import StageFailed
from igsm_pipeline.intervals.bootstrap import balanced_accuracy_of, balanced_gain_of, class_statistics, interval, mean_of, sum_by_problem
from igsm_pipeline.probes.files import PREDICTIONS, make_predictions
from igsm_pipeline.probes.prior import log_shares
from igsm_pipeline.probes.settings import Prior, TextProbeSettings
from igsm_pipeline.probes.stage import BEYOND_TEXT
from igsm_pipeline.probes.text_features import text_features
from igsm_pipeline.problems import read_problems
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.queries.write import read_queries
from igsm_pipeline.stage import folder_of
from igsm_pipeline.store import Writing
from igsm_pipeline.world import load_world

NAME = "text"
TRAIN = "train"
Said = tuple[NDArray[np.int16], NDArray[np.float32]]


def write_text_probes(settings: TextProbeSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write predictions.parquet: what the text probe of each task says of one slice.

    Args:
        settings: the tasks, and how many queries to learn from.
        inputs: folders: ``world``, ``problems`` and ``queries`` of the slice, ``problems:train`` and ``queries:train`` to learn from.
        writing: where the file goes.

    Raises:
        StageFailed: there are no training queries.
    """
    world = load_world(inputs["world"])
    sets = {TRAIN: (folder_of(inputs, "problems", TRAIN), folder_of(inputs, "queries", TRAIN)), "slice": (inputs["problems"], inputs["queries"])}
    records = {part: read_problems(problems, world, settings.modulus).records for part, (problems, _) in sets.items()}
    tables, learnt = [], 0
    for task in settings.tasks:
        train, asked = (read_queries(queries, task) for _, queries in sets.values())
        if not len(train):
            raise StageFailed(f"text_probes: there must be training queries of {task}, got none; draw more problems for the probes")
        train = train.slice(0, settings.max_queries)
        learnt += len(train)
        label = train["label"].to_numpy().astype(np.int64)
        said = predict_from_text(
            text_features(records[TRAIN], train),
            label,
            text_features(records["slice"], asked),
            num_classes=TASKS[task].classes(settings.modulus),
            seed=settings.seed,
            prior=settings.prior,
        )
        tables.append(make_predictions(asked, *said, probe=NAME, layer=None, part=settings.slice))
    predictions = pa.concat_tables(tables)
    write_parquet(predictions, writing.folder / PREDICTIONS)
    writing.counts.update(predictions=len(predictions), training_queries=learnt)


def predict_from_text(
    features: NDArray[np.float32], label: NDArray[np.int64], asked: NDArray[np.float32], *, num_classes: int, seed: int, prior: Prior = "training"
) -> Said:
    """Learn from some queries and answer others, whose features are ``asked``; see ``learn_from_text``."""
    return learn_from_text(features, label, num_classes=num_classes, seed=seed, prior=prior)(asked)


def learn_from_text(
    features: NDArray[np.float32], label: NDArray[np.int64], *, num_classes: int, seed: int, prior: Prior = "training"
) -> Callable[[NDArray[np.float32]], Said]:
    """Learn from some queries.

    Args:
        features, label: of the training queries.
        num_classes: of the task.
        seed: of the split that stops the boosting.
        prior: how common each answer is taken to be.

    Returns:
        From the features of other queries to prediction, int16, and score, float32, as ``v_probe.predict`` gives them: the probability of label 1,
        or of the predicted class.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415  (a second to load)

    trees = HistGradientBoostingClassifier(random_state=seed).fit(features, label) if len(np.unique(label)) > 1 else None

    def answer(asked: NDArray[np.float32]) -> Said:
        found = np.zeros((len(asked), num_classes))
        if len(asked) and trees is not None:
            found[:, trees.classes_] = trees.predict_proba(asked)
        elif len(asked):
            found[:, label[0]] = 1.0
        if prior == "uniform":
            found /= np.exp(log_shares(prior, label, num_classes))
            found /= found.sum(1, keepdims=True)
        prediction = found.argmax(1)
        score = found[:, 1] if num_classes == 2 else found.max(1)
        return prediction.astype(np.int16), score.astype(np.float32)

    return answer


def score_beyond_text(predictions: pa.Table, *, modulus: int, seed: int = 0, num_resamples: int = 1000) -> pa.Table:
    """What each probe knows beyond the text: rows of ``beyond_text`` for the V-probe and its control.

    Args:
        predictions: rows of predictions.parquet of one task and slice, those of the text probe among them.
        modulus: M, which gives ``value`` its classes.
        seed: of the bootstrap.
        num_resamples: of the bootstrap.
    """
    text = predictions.filter(pa.compute.equal(predictions["probe"], NAME))
    rows: list[dict[str, Any]] = []
    for probe in ("v_probe", "random") if len(text) else ():
        own = predictions.filter(pa.compute.equal(predictions["probe"], probe))
        if not len(own):
            continue
        task = str(text["task"][0])
        classes = TASKS[task].classes(modulus)
        problems, index = np.unique(text["problem"].to_numpy(), return_inverse=True)
        label, said, read = (np.asarray(column.to_numpy(), dtype=np.int64) for column in (text["label"], own["prediction"], text["prediction"]))
        where: dict[str, Any] = {"num_problems": len(problems), "num_classes": classes}
        how: dict[str, Any] = {"seed": seed, "num_resamples": num_resamples}
        floor = class_statistics(label, read, index, **where)
        both = np.concatenate([class_statistics(label, said, index, **where), floor], axis=1)
        missed = read != label
        hits = np.stack([sum_by_problem(values, index, len(problems)) for values in (missed & (said == label), missed)], axis=1)
        rows.append(
            {
                **{"task": task, "probe": probe, "slice": str(text["slice"][0]), "n": len(label), "num_problems": len(problems)},
                **interval(both[:, : floor.shape[1]], balanced_accuracy_of, **how).columns("balanced_accuracy"),
                **interval(floor, balanced_accuracy_of, **how).columns("text"),
                **interval(both, balanced_gain_of, scale=(-1.0, 1.0), **how).columns("gain"),
                "missed": int(missed.sum()),
                **interval(hits, mean_of, **how).columns("right_where_missed"),
            }
        )
    return pa.Table.from_pylist(rows, schema=BEYOND_TEXT.schema())
