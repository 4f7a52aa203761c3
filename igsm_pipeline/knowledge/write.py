"""The stage ``probe_controls``: every control's V-probe answers the queries of every slice, beside the V-probe itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from igsm_pipeline.activations.forward import freeze
from igsm_pipeline.intervals.bootstrap import accuracy_of, balanced_accuracy_of, balanced_gain_of, class_statistics, interval
from igsm_pipeline.knowledge.candidate_sets import Asked, Reader, Taught, score_sets
from igsm_pipeline.knowledge.code_length import code_of_shares, code_rows, online_code, queries_read
from igsm_pipeline.knowledge.settings import ProbeControlSettings, SetSettings
from igsm_pipeline.knowledge.stage import CODED, CONTROLLED, SETS
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.probes.control_task import Types, control_answers, query_types
from igsm_pipeline.probes.files import LOSSES, PREDICTIONS, read_part
from igsm_pipeline.probes.prior import bits_of_shares
from igsm_pipeline.probes.settings import ARMS, Prior, TextProbeSettings, VProbeSettings
from igsm_pipeline.probes.text_probe import NAME as TEXT
from igsm_pipeline.probes.text_probe import TRAIN
from igsm_pipeline.probes.v_probe import computes_bf16, load_probe, predict, read_description
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.queries.tasks import TASKS, TaskName
from igsm_pipeline.stage import folder_of
from igsm_pipeline.store import Writing

Ints = NDArray[np.int64]
SETS_FILE = "candidate_sets.parquet"
READERS = {"trained": "v_probe", "random": "random"}
"""What the V-probes of the two models are called here."""


def write_probe_controls(settings: ProbeControlSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write probe_controls.parquet and description_length.parquet; where candidate sets are named, candidate_sets.parquet as well.

    Args:
        settings: tasks, controls and slices.
        inputs: folders: ``world``; ``problems:SLICE``, ``queries:SLICE`` and ``text_probes:SLICE`` of every slice; ``problems:train`` and
            ``queries:train``, which the probes learned from; ``model:trained`` and ``model:random``; ``v_probes:TASK trained``,
            ``v_probes:TASK random`` and ``v_probes:TASK CONTROL`` of every task and control.
        writing: where the files go.
    """
    device = pick_device(settings.device)
    models = {arm: freeze(load(folder_of(inputs, "model", arm))).to(device) for arm in ARMS}
    asked = {part: _tokens(settings, inputs, part) for part in settings.slices}
    training = _tokens(settings, inputs, TRAIN)
    text = {part: pq.read_table(folder_of(inputs, "text_probes", part) / PREDICTIONS) for part in settings.slices}
    scores, codes, sets = list[dict[str, Any]](), list[dict[str, Any]](), list[dict[str, Any]]()
    for task in tqdm(settings.tasks, desc="controls of V-probes", unit="task", mininterval=1.0):
        probes = {READERS.get(part, part): folder_of(inputs, "v_probes", f"{task} {part}") for part in (*ARMS, *settings.controls)}
        recipe = VProbeSettings.parse(read_description(probes["v_probe"])["settings"], str(probes["v_probe"]))
        codes += _codes(settings, recipe, task, training[task], probes)
        taught = _taught(settings, task, training[task], recipe.prior)
        learned = _Learned.of(settings, task, training[task], probes)
        for part in settings.slices:
            tokens = asked[part][task]
            answers = [Answer(TEXT, tokens.label, _ints(text[part].filter(pc.equal(text[part]["task"], task)), "prediction"))]
            for reader, folder in probes.items():
                model = models["random" if reader == "random" else "trained"]
                bf16 = computes_bf16(settings.precision, device)
                said, _ = predict(load_probe(folder, device), model, tokens, device=device, max_tokens=settings.max_tokens, bf16=bf16)
                answers += learned.answers(tokens, said) if reader == "control_task" else [Answer(reader, tokens.label, said.astype(np.int64))]
            scores += [{"task": task, "slice": part, **row} for row in score_readers(answers, tokens.problem, settings, task)]
            if settings.candidates is not None:
                readers = {READERS[arm]: Reader(load_probe(probes[READERS[arm]], device), models[arm]) for arm in ARMS}
                sets += _on_sets(settings, settings.candidates, task, part, tokens, readers, taught)
    write_parquet(pa.Table.from_pylist(scores, schema=CONTROLLED.schema()), writing.folder / CONTROLLED.files)
    write_parquet(pa.Table.from_pylist(codes, schema=CODED.schema()), writing.folder / CODED.files)
    if settings.candidates is not None:
        write_parquet(pa.Table.from_pylist(sets, schema=SETS.schema()), writing.folder / SETS_FILE)
    writing.counts.update(queries=sum(len(one) for tasks in asked.values() for one in tasks.values()), readers=2 + 1 + len(settings.controls))


def _tokens(settings: ProbeControlSettings, inputs: Mapping[str, Path], part: str) -> dict[str, QueryTokens]:
    return read_part(settings.family, settings.tokens, inputs, part, folder_of(inputs, "model", "trained"), settings.tasks)


def _taught(settings: ProbeControlSettings, task: TaskName, training: QueryTokens, prior: Prior) -> Taught:
    """What the text's trees learn from: as many queries as the text probes do."""
    queries = training.queries.slice(0, TextProbeSettings.model_fields["max_queries"].default)
    return Taught(training.batch, queries, TASKS[task].classes(settings.family.modulus), settings.seed, prior)


def _on_sets(
    settings: ProbeControlSettings,
    sets: SetSettings,
    task: TaskName,
    part: str,
    tokens: QueryTokens,
    readers: Mapping[str, Reader],
    taught: Taught,
) -> list[dict[str, Any]]:
    """Rows of ``candidate_sets`` for one task and slice; the slice's own queries are those of the set that the experiment names."""
    draw = QuerySettings(family=settings.family, task=task, per_problem=sets.per_problem, seed=sets.seed, stream=f"queries {part}")
    asked = Asked(part, tokens.batch.take(slice(sets.first)), tokens.table, draw)
    device = pick_device(settings.device)
    how: dict[str, Any] = {"device": device, "max_tokens": settings.max_tokens, "bf16": computes_bf16(settings.precision, device)}
    return score_sets(asked, sets.sets, readers, taught, seed=settings.seed, num_resamples=settings.num_resamples, **how)


def _ints(table: pa.Table, column: str) -> Ints:
    return np.asarray(table[column].to_numpy(), dtype=np.int64)


@dataclass(frozen=True)
class Answer:
    """What one reader says of the queries of a slice: what would be right, its answers, and, of a subset, which queries count."""

    reader: str
    label: Ints
    said: Ints
    counted: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class _Learned:
    """What the control task's probe was taught: a class for every type of query, drawn by these shares and seed."""

    task: str
    seed: int
    shares: NDArray[np.float64]
    seen: frozenset[tuple[bytes, bytes, int]]

    @classmethod
    def of(cls, settings: ProbeControlSettings, task: str, training: QueryTokens, probes: Mapping[str, Path]) -> _Learned:
        if "control_task" not in probes:
            return cls(task, 0, np.ones(1), frozenset())
        counts = np.bincount(training.label, minlength=TASKS[task].classes(settings.family.modulus))
        seed = int(read_description(probes["control_task"])["settings"]["seed"])
        return cls(task, seed, counts / max(1, len(training)), frozenset(query_types(training)))

    def answers(self, tokens: QueryTokens, said: NDArray[np.integer]) -> Iterator[Answer]:
        types: Types = query_types(tokens)
        label, wide = control_answers(types, self.shares, task=self.task, seed=self.seed), said.astype(np.int64)
        yield Answer("control_task", label, wide)
        yield Answer("control_task", label, wide, np.array([one in self.seen for one in types], dtype=bool))


def score_readers(answers: list[Answer], problem: NDArray[np.integer], settings: ProbeControlSettings, task: str) -> list[dict[str, Any]]:
    """Cells of ``probe_controls`` for one task and slice: every reader's score, and how much better the V-probe is on the same queries."""
    problems, index = np.unique(problem, return_inverse=True)
    where: dict[str, Any] = {"num_problems": len(problems), "num_classes": TASKS[task].classes(settings.family.modulus)}
    how: dict[str, Any] = {"seed": settings.seed, "num_resamples": settings.num_resamples}
    best = next(one for one in answers if one.reader == "v_probe")
    rows = []
    for one in answers:
        counted = np.ones(len(index), bool) if one.counted is None else one.counted
        own, first = (class_statistics(each.label[counted], each.said[counted], index[counted], **where) for each in (one, best))
        row: dict[str, Any] = {
            "reader": one.reader,
            "subset": "all" if one.counted is None else "learned",
            "n": int(counted.sum()),
            "num_problems": len(np.unique(index[counted])),
        }
        for name, score in (("accuracy", accuracy_of), ("balanced_accuracy", balanced_accuracy_of)):
            row |= interval(own, score, **how).columns(name)
        if one is not best:
            both = np.concatenate([first, own], axis=1)
            row |= interval(both, balanced_gain_of, scale=(-1.0, 1.0), **how).columns("gain")
        rows.append(row)
    return rows


def _codes(
    settings: ProbeControlSettings, recipe: VProbeSettings, task: str, training: QueryTokens, probes: Mapping[str, Path]
) -> Iterator[dict[str, Any]]:
    """Rows of ``description_length`` for one task."""
    classes = TASKS[task].classes(settings.family.modulus)
    read = queries_read(recipe, training)
    losses = {reader: pq.read_table(folder / LOSSES)["loss"].to_numpy() for reader, folder in probes.items()}
    told = bits_of_shares(recipe.prior, len(training), classes)
    codes = {reader: online_code(read, one, classes, starts=recipe.starts, told=told) for reader, one in losses.items()}
    codes["shares"] = code_of_shares(read, training.label, classes)
    for reader, code in codes.items():
        for row in code_rows(code, codes["v_probe"], seed=settings.seed, num_resamples=settings.num_resamples):
            yield {"task": task, "reader": reader, **row}
