"""The stage ``emergence``: every snapshot of a training solves the same problems and is probed with the same small budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from igsm_pipeline.activations.forward import freeze
from igsm_pipeline.emergence.half_gain import half_gain_tokens, scores_over
from igsm_pipeline.emergence.settings import SOLVED, EmergenceSettings
from igsm_pipeline.emergence.stage import CURVES, HALF_GAINS
from igsm_pipeline.errors import StageFailed
from igsm_pipeline.intervals.bootstrap import balanced_accuracy_of, class_statistics, interval, mean_of
from igsm_pipeline.intervals.interval import UNDEFINED, Interval
from igsm_pipeline.model.decoding import complete
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.probes.files import read_part
from igsm_pipeline.probes.settings import VProbeSettings
from igsm_pipeline.probes.text_probe import TRAIN
from igsm_pipeline.probes.v_probe import predict
from igsm_pipeline.probes.v_training import train_v_probe
from igsm_pipeline.problems import read_problems
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.stage import folder_of
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import TokenTable, build_table, emit
from igsm_pipeline.training.curves import read_metrics
from igsm_pipeline.training.snapshots import snapshots_in
from igsm_pipeline.verification.token_path import TokenVerifier, joined
from igsm_pipeline.world import load_world

Floats = NDArray[np.float64]
PASS_TOKENS = 16384
RECIPE = ("num_steps", "batch_problems", "starts", "start_steps", "rank", "learning_rate", "warmup_steps", "seed")
"""What the V-probes take from the settings as it is."""


def write_emergence(settings: EmergenceSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write emergence.parquet and half_gains.parquet.

    Args:
        settings: tasks, and the probes' budget.
        inputs: folders: ``world``, ``checkpoint`` with its snapshots; ``problems:solved``; ``problems:train``, ``queries:train``, ``problems:SLICE``
            and ``queries:SLICE``.
        writing: where the files go. What a killed run has found of a snapshot is kept in its folder and not computed again.

    Raises:
        StageFailed: the checkpoint has fewer than two snapshots.
    """
    snapshots = snapshots_in(inputs["checkpoint"])
    if len(snapshots) < 2:
        raise StageFailed(f"emergence: the checkpoint must have two snapshots, got {len(snapshots)}; set training.snapshots")
    looking = _Looking(settings, inputs)
    found = []
    for step, folder in tqdm(snapshots.items(), desc="emergence", unit="snapshot"):
        kept = writing.folder / f"answers-{step:09d}.parquet"
        if not kept.exists():
            write_parquet(looking.answers(folder, writing.folder / "probe"), kept)
        found.append(pq.read_table(kept))
    tokens = tokens_at(inputs["checkpoint"], list(snapshots))
    curves, gains = tables_of(found, list(snapshots), tokens, settings)
    write_parquet(pa.Table.from_pylist(curves, schema=CURVES.schema()), writing.folder / CURVES.files)
    write_parquet(pa.Table.from_pylist(gains, schema=HALF_GAINS.schema()), writing.folder / HALF_GAINS.files)
    for path in writing.folder.glob("answers-*.parquet"):
        path.unlink()
    writing.counts.update(snapshots=len(snapshots), solved=len(looking.batch), tasks=len(settings.tasks))


def tokens_at(checkpoint: Path, steps: list[int]) -> Floats:
    """Training tokens behind each step, straight between the steps that the training logged."""
    rows = [row for row in read_metrics(checkpoint) if "tokens" in row]
    return np.asarray(np.interp(steps, [0, *(row["step"] for row in rows)], [0.0, *(row["tokens"] for row in rows)]), np.float64)


class _Looking:
    """What is the same for every snapshot: the problems to solve, the queries to learn from and to answer."""

    def __init__(self, settings: EmergenceSettings, inputs: Mapping[str, Path]) -> None:
        world = load_world(inputs["world"])
        self.settings, self.device = settings, pick_device(settings.device)
        self.table: TokenTable = build_table(world, settings.family.modulus, settings.tokens, inputs["checkpoint"])
        self.batch = read_problems(folder_of(inputs, "problems", SOLVED), world, settings.family.modulus)
        emitted = emit(self.batch, self.table, settings.family.format)
        self.prompts = [emitted.prompt(row) for row in range(len(self.batch))]
        self.verifier = TokenVerifier(self.batch, self.table)
        self.training, self.asked = (
            read_part(settings.family, settings.tokens, inputs, part, inputs["checkpoint"], settings.tasks) if settings.tasks else {}
            for part in (TRAIN, settings.slice)
        )

    def answers(self, snapshot: Path, scratch: Path) -> pa.Table:
        """What one snapshot answers: a row per problem (measure solved: label 1, said 1 if right) and per query (label, said).

        The state of a probe that is being trained lies in a folder of its task below ``scratch``, so that no other task goes on from it.
        """
        settings, model = self.settings, freeze(load(snapshot)).to(self.device)
        written = complete(model, self.prompts, max_tokens=settings.max_tokens, max_length=settings.max_tokens, eos=self.table.eos)
        correct = self.verifier.judge(*joined(written.tokens), written.finished).correct
        rows = np.arange(len(correct))
        parts = [_rows(SOLVED, rows, self.batch.records["op"], np.ones(len(correct), np.int16), correct.astype(np.int16))]
        for task in settings.tasks:
            classes = TASKS[task].classes(settings.family.modulus)
            recipe = {name: getattr(settings, name) for name in RECIPE}
            asked = VProbeSettings(family=settings.family, tokens=settings.tokens, task=task, **recipe)
            probe = train_v_probe(
                asked, model, self.training[task], num_classes=classes, folder=scratch / task, device=self.device, label=f"{task} {snapshot.name}"
            ).probe
            tokens = self.asked[task]
            said, _ = predict(probe, model, tokens, device=self.device, max_tokens=PASS_TOKENS)
            parts.append(_rows(task, tokens.problem, np.zeros(len(said), np.uint8), tokens.label, said))
        return pa.concat_tables(parts)


def _rows(measure: str, problem: NDArray[Any], op: NDArray[Any], label: NDArray[Any], said: NDArray[Any]) -> pa.Table:
    return pa.table(
        {
            "measure": pa.array([measure] * len(problem)),
            "problem": np.asarray(problem, np.int64),
            "op": np.asarray(op, np.int32),
            "label": np.asarray(label, np.int64),
            "said": np.asarray(said, np.int64),
        }
    )


@dataclass(frozen=True)
class _Curve:
    """One measure: sums per problem of every snapshot, (snapshots, problems, columns), and the score of summed columns."""

    measure: str
    op: int | None
    statistics: Floats
    n: int
    score: Callable[[Floats], Floats]

    @property
    def used(self) -> int:
        """Problems with any problem to solve or query to answer."""
        return int(self.statistics[0].any(axis=1).sum())

    def gain(self, sums: Floats) -> Floats:
        """The last value less the first, from the sums of these two snapshots."""
        first, last = scores_over(self.score, sums, 2).T
        return np.asarray(last - first, np.float64)

    def half(self, tokens: Floats, sums: Floats) -> Floats:
        """The tokens at half of the gain, from the sums of all snapshots."""
        return half_gain_tokens(scores_over(self.score, sums, len(tokens)), tokens)


def tables_of(
    found: list[pa.Table], steps: list[int], tokens: Floats, settings: EmergenceSettings
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of both tables; intervals resample problems, the same for all snapshots.

    Args:
        found: answers of every snapshot.
        steps, tokens: behind each.
        settings: seed and number of resamples.
    """
    curves, gains = list[dict[str, Any]](), list[dict[str, Any]]()
    for curve in _curves(found, settings):
        for number, step in enumerate(steps):
            row = {"measure": curve.measure, "op": curve.op, "step": step, "tokens": round(float(tokens[number])), "n": curve.n}
            value = _resampled(curve.statistics[number], curve.score, settings)
            curves.append({**row, "num_problems": curve.used, **value.columns("value")})
        ends = np.concatenate([curve.statistics[0], curve.statistics[-1]], axis=1)
        gain = _resampled(ends, curve.gain, settings, (-1.0, 1.0))
        beside = np.concatenate(list(curve.statistics), axis=1)
        at = _resampled(beside, partial(curve.half, tokens), settings, (0.0, math.inf)) if gain.low > 0 else UNDEFINED
        gains.append({"measure": curve.measure, "op": curve.op, "num_problems": curve.used, **gain.columns("gain"), **at.columns("tokens")})
    return curves, gains


def _resampled(
    statistics: Floats, score: Callable[[Floats], Floats], settings: EmergenceSettings, scale: tuple[float, float] = (0.0, 1.0)
) -> Interval:
    return interval(statistics, score, scale=scale, seed=settings.seed, num_resamples=settings.num_resamples)


def _curves(found: list[pa.Table], settings: EmergenceSettings) -> list[_Curve]:
    """Solutions by number of operations and of all, then a curve per task."""
    columns = {name: [np.asarray(table[name]) for table in found] for name in ("op", "problem", "label", "said")}
    measure = np.asarray(found[0]["measure"])
    made = []
    solved = measure == SOLVED
    ops, right = columns["op"][0][solved], np.stack([one[solved] for one in columns["said"]])
    for op in (*np.unique(ops).tolist(), None):
        chosen = np.ones(len(ops), bool) if op is None else ops == op
        made.append(
            _Curve(SOLVED, op, np.stack([right[:, chosen], np.ones_like(right[:, chosen])], axis=2).astype(float), int(chosen.sum()), mean_of)
        )
    for task in settings.tasks:
        mine, classes = measure == task, TASKS[task].classes(settings.family.modulus)
        problem, label = columns["problem"][0][mine], columns["label"][0][mine]
        counts = [
            class_statistics(label, said[mine], problem, num_problems=int(problem.max(initial=0)) + 1, num_classes=classes)
            for said in columns["said"]
        ]
        made.append(_Curve(task, None, np.stack(counts), int(mine.sum()), balanced_accuracy_of))
    return made
