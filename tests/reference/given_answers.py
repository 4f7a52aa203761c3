"""What stages of scores and tables make of answers that no model gave: the same numbers on every processor.

Their own units hang on choices between nearly equal numbers (the likeliest token, the best layer). These answers are drawn by a seed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from igsm_pipeline.correlation.predictor import draw_folds, probe_features
from igsm_pipeline.correlation.rates import Answers, rate_table
from igsm_pipeline.emergence.settings import EmergenceSettings
from igsm_pipeline.emergence.write import SOLVED, tables_of
from igsm_pipeline.interventions.effects import effect_rows
from igsm_pipeline.interventions.interchange import Effect, Exchanged
from igsm_pipeline.interventions.leace import Whitened, erase_concept, erase_random
from igsm_pipeline.interventions.write_steering import CELL
from igsm_pipeline.knowledge.code_length import code_of_shares, code_rows, online_code
from igsm_pipeline.knowledge.settings import ProbeControlSettings
from igsm_pipeline.knowledge.write import Answer, score_readers
from igsm_pipeline.probes.scoring import Majority, score_distances, score_predictions
from igsm_pipeline.probes.text_probe import score_beyond_text
from igsm_pipeline.regret.tables import Arm, arm_rows

PROBLEMS, EACH = 30, 6
HOW: dict[str, Any] = {"seed": 3, "num_resamples": 100}
DIGITS = 9
"""Of a number: sums in another order differ in the sixteenth."""
Rows = list[dict[str, Any]]


def given_rows() -> dict[str, Rows]:
    """Stage -> the rows of its tables."""
    return {
        "probe_scores": _scores(),
        "probe_controls": _controls(),
        "error_correlation": _correlation(),
        "interchange": effect_rows(_exchanges([("twin", "all", 0), ("random", "after", 2)]), **HOW),
        "steering": effect_rows(_exchanges([("probe", 2, 0.1), ("probe", 2, 0.4)]), CELL, "named", **HOW),
        "erasure": _erasers(),
        "emergence": _emergence(),
        "regret": list(arm_rows(_arms(), **HOW)),
    }


def content(rows: Iterable[Any]) -> str:
    """Hash of rows, their numbers rounded."""
    return hashlib.sha256(json.dumps([_rounded(row) for row in rows], sort_keys=True).encode()).hexdigest()


def summed_up(rows: Iterable[Any]) -> dict[str, Any]:
    """Hash of rows without their numbers, and mean and spread of the numbers of each column.

    Sums of the bootstrap are float32. With another kernel of OpenBLAS they differ in the eighth digit, and numbers rounded to any digit can differ.
    """
    columns: dict[str, list[float]] = {}
    hashed = content([_without_numbers(row, "", columns) for row in rows])
    return {
        "content": hashed,
        "figures": {name: [float(f"{one(column):.9g}") for one in (np.mean, np.std)] for name, column in sorted(columns.items())},
    }


def _without_numbers(value: Any, column: str, columns: dict[str, list[float]]) -> Any:
    """The value with each number replaced by a word; the numbers go to the lists of their columns."""
    if isinstance(value, dict):
        return {key: _without_numbers(one, f"{column}.{key}".lstrip("."), columns) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_numbers(one, column, columns) for one in value]
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    columns.setdefault(column, []).append(value)
    return "a number"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _label(random: np.random.Generator, classes: int = 2) -> Any:
    return random.integers(0, classes, PROBLEMS * EACH)


def _problem() -> Any:
    return np.repeat(np.arange(PROBLEMS), EACH)


def _said(random: np.random.Generator, label: Any, right: float, classes: int = 2) -> Any:
    return np.where(random.random(len(label)) < right, label, random.integers(0, classes, len(label)))


def _predictions(task: str, classes: int) -> pa.Table:
    random = np.random.default_rng(1)
    label, number = _label(random, classes), PROBLEMS * EACH
    same = {
        "problem": pa.array(_problem(), pa.int32()),
        "task": [task] * number,
        "position": pa.array([0] * number, pa.int32()),
        "parameter": pa.array(np.arange(number), pa.int32()),
        "parameter_b": pa.nulls(number, pa.int32()),
        "label": pa.array(label, pa.int32()),
        "slice": ["op<=max"] * number,
        "op": pa.array(_problem() % 3 + 1, pa.int32()),
        "necessary": pa.array(random.random(number) < 0.5),
        "distance": pa.array(random.integers(1, 11, number), pa.int32()),
    }
    parts = []
    for probe, layer, right in (("v_probe", None, 0.8), ("random", None, 0.2), ("text", None, 0.5), ("linear", 2, 0.6)):
        said = _said(random, label, right, classes)
        score = np.round(np.where(said == 1, 0.5, 0.0) + random.random(number) / 2, 3)
        columns = {
            "prediction": pa.array(said, pa.int32()),
            "score": score,
            "probe": [probe] * number,
            "layer": pa.array([layer] * number, pa.int32()),
        }
        parts.append(pa.table({**same, **columns}))
    return pa.concat_tables(parts)


def _scores() -> Rows:
    rows: Rows = []
    for task, classes in (("nece", 2), ("value", 6)):
        said = _predictions(task, classes)
        majority = {task: Majority.of(np.arange(1, classes + 1))}
        chosen = {(task, "linear"): 2}
        scored = score_predictions(said, modulus=5, candidates="existing", majority=majority, chosen=chosen, **HOW)
        rows += [*scored.to_pylist(), *score_beyond_text(said, modulus=5, **HOW).to_pylist(), *score_distances(said, **HOW).to_pylist()]
    return rows


def _controls() -> Rows:
    random = np.random.default_rng(2)
    label, counted = _label(random), np.arange(PROBLEMS * EACH) < 80
    answers = [
        Answer("v_probe", label, _said(random, label, 0.9)),
        Answer("control_task", label, _said(random, label, 0.5)),
        Answer("control_task", label, _said(random, label, 0.7), counted),
    ]
    settings = ProbeControlSettings.parse({"family": {}, "slices": ["op<=max"], **HOW}, "given")
    read = [np.arange(start, start + 20) for start in range(0, PROBLEMS * EACH, 20)]
    best = online_code(read, 0.3 + random.random(len(read)) / 9, 2, starts=2)
    return [*score_readers(answers, _problem(), settings, "known"), *code_rows(code_of_shares(read, label, 2), best, **HOW)]


def _correlation() -> Rows:
    def answers(seed: int, part: str) -> Answers:
        random = np.random.default_rng(seed)
        label = _label(random)
        event = (label == 0) & (random.random(len(label)) < 0.3)
        said = np.where(event, random.random(len(label)) < 0.6, _said(random, label, 0.8)).astype(np.int64)
        return Answers("b", "can_next", part, PROBLEMS, _problem(), event, label, said, random.integers(-1, 3, len(label)))

    score = np.random.default_rng(5).random(PROBLEMS * EACH)
    features = probe_features(_problem(), score, PROBLEMS)
    return [
        *rate_table([answers(3, "op=max"), answers(4, "reask")], **HOW).to_pylist(),
        {"features": features.tolist(), "folds": draw_folds(9, 3, 1).tolist()},
    ]


def _exchanges(cells: list[Any]) -> list[Exchanged]:
    def effect(seed: int) -> Effect:
        random = np.random.default_rng(seed)
        return Effect(random.random(9) < 0.4, random.random(9) < 0.3, random.normal(size=9))

    return [Exchanged(np.arange(9), {cell: effect(10 * part + number) for number, cell in enumerate(cells)}) for part in range(2)]


def _erasers() -> Rows:
    random = np.random.default_rng(6)
    states, concept = random.normal(size=(60, 5)) @ random.normal(size=(5, 5)), np.eye(3)[random.integers(0, 3, 60)]
    known = torch.from_numpy(states + concept @ random.normal(size=(3, 5)))
    spread = Whitened.of(known)
    numbers = torch.from_numpy(random.normal(size=(5, 2)))
    made = (erase_concept(spread, known, torch.from_numpy(concept)), erase_random(spread, 2, numbers))
    return [{"rank": one.rank, "removes": np.round(one.removes.numpy(), 6).tolist()} for one in made]


def _emergence() -> Rows:
    random = np.random.default_rng(7)
    label = _label(random)

    def answers(solved: float, right: float) -> pa.Table:
        said = [*(random.random(PROBLEMS) < solved).astype(int), *_said(random, label, right)]
        return pa.table(
            {
                "measure": [SOLVED] * PROBLEMS + ["nece"] * len(label),
                "problem": [*range(PROBLEMS), *_problem()],
                "op": [2] * PROBLEMS + [0] * len(label),
                "label": [1] * PROBLEMS + label.tolist(),
                "said": said,
            }
        )

    settings = EmergenceSettings.model_validate({"family": {}, "slice": "op<=max", "tasks": ["nece"], **HOW})
    found = [answers(0.0, 0.1), answers(0.3, 0.6), answers(0.9, 0.95)]
    curves, gains = tables_of(found, [0, 10, 100], np.array([0.0, 1000.0, 10_000.0]), settings)
    return [*curves, *gains]


def _arms() -> list[Arm]:
    random = np.random.default_rng(8)
    arms: list[Arm] = []
    for decoder, tries, right in (("greedy", 0, 0.5), ("truth", 3, 0.8)):
        retries = np.minimum(random.integers(0, 5, PROBLEMS), tries)
        correct = random.random(PROBLEMS) < right
        arms.append(Arm(decoder, tries, correct, [None] * PROBLEMS, retries, random.integers(0, 9, PROBLEMS), random.integers(90, 120, PROBLEMS)))
    return arms
