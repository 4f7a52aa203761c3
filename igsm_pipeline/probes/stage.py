"""The stage ``v_probes``: one task, the trained model and its random control, tested on every slice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedModel

from igsm_pipeline.activations.forward import freeze
from igsm_pipeline.errors import StageFailed
from igsm_pipeline.model.control import build_control
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.gpt2_rotary import load, save
from igsm_pipeline.probes.dense import map_mental_state
from igsm_pipeline.probes.inputs import DISTANCES, METRICS, PREDICTIONS, TRAIN, folder_of, make_predictions, parts_of
from igsm_pipeline.probes.metrics import Majority, num_classes_of, score_distances, score_predictions
from igsm_pipeline.probes.settings import VProbeSettings
from igsm_pipeline.probes.v_probe import WEIGHTS, VProbe, load_probe, predict, save_probe
from igsm_pipeline.probes.v_training import train_v_probe
from igsm_pipeline.problems import read_problems
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.settings import STEP_TASKS, QuerySettings
from igsm_pipeline.queries.stage import read_queries
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import build_table
from igsm_pipeline.world import load_world
from igsm_pipeline.world.stage import WORLD_FILE

STAGE = "v_probes"
VERSION = 1
PROBE_NAMES = {"trained": "v_probe", "random": "random"}
LOSSES, MENTAL_STATE = "losses.parquet", "mental_state.parquet"
MAPPED_PROBLEMS = 4


def write_v_probe(settings: VProbeSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write ``trained/`` and ``random/`` (probe.safetensors, probe.json, losses.parquet; the control's weights beside its probe),
    predictions.parquet, metrics.parquet, distances.parquet and, for the tasks asked at every step, mental_state.parquet (``probes.dense``,
    the first problems of each slice).

    Args:
        settings: the recipe.
        inputs: ``world``, ``checkpoint``, ``problems:PART`` and ``queries:PART``; PART is ``probe_train`` and each slice.
        writing: where the files go; a half-trained probe in it is continued.

    Raises:
        StageFailed: there are no training queries.
    """
    asked = _read_tokens(settings, inputs)
    training = asked.pop(TRAIN)[1]
    if not len(training):
        raise StageFailed("v_probes: there must be training queries, got none; draw more problems for the probes")
    num_classes = num_classes_of(settings.task, settings.family.modulus)
    device = pick_device(settings.device)
    candidates = folder_candidates(inputs)
    predictions: list[pa.Table] = []
    for arm in settings.arms:
        model = _model_of(arm, settings, inputs, writing.folder / arm).to(device)
        probe = _trained_probe(settings, model, training, num_classes, writing.folder / arm, arm)
        for part, (queries, tokens) in asked.items():
            said = predict(probe, model, tokens, device=device, max_tokens=settings.max_tokens, bf16=settings.precision == "bf16")
            predictions.append(make_predictions(queries, *said, probe=PROBE_NAMES[arm], layer=None, part=part))
        if arm == "trained" and settings.task in STEP_TASKS:
            _write_map(settings, probe, model, asked, candidates, writing.folder)
    table = pa.concat_tables(predictions)
    majority: dict[str, Majority] = {settings.task: Majority.of(training.label, num_classes)}
    scored = score_predictions(table, modulus=settings.family.modulus, candidates=candidates, majority=majority, seed=settings.seed)
    write_parquet(table, writing.folder / PREDICTIONS)
    write_parquet(scored, writing.folder / METRICS)
    write_parquet(score_distances(table, seed=settings.seed), writing.folder / DISTANCES)
    writing.counts.update(task=settings.task, training_queries=len(training), predictions=len(table), steps=settings.num_steps)


def _write_map(
    settings: VProbeSettings, probe: VProbe, model: PreTrainedModel, asked: Mapping[str, tuple[pa.Table, QueryTokens]], candidates: str, folder: Path
) -> None:
    query = QuerySettings.parse({"family": settings.family, "task": settings.task, "candidates": candidates}, "v_probes")
    maps = []
    for part, (_, tokens) in asked.items():
        documents = GoldDocuments(tokens.batch.take(slice(0, MAPPED_PROBLEMS)), tokens.table, settings.family.format)
        maps.append(map_mental_state(probe, model, documents, query, part=part, device=model.device, max_tokens=settings.max_tokens))
    if maps:
        write_parquet(pa.concat_tables(maps), folder / MENTAL_STATE)


def folder_candidates(inputs: Mapping[str, Path]) -> str:
    """The candidate set that the training queries were drawn from."""
    return str(read_queries(folder_of(inputs, "queries", TRAIN))["candidates"][0].as_py())


def _read_tokens(settings: VProbeSettings, inputs: Mapping[str, Path]) -> dict[str, tuple[pa.Table, QueryTokens]]:
    world = load_world(inputs["world"] / WORLD_FILE)
    table = build_table(world, settings.family.modulus, settings.tokens, inputs["checkpoint"])
    found = {}
    for part in parts_of(inputs, "queries"):
        batch = read_problems(folder_of(inputs, "problems", part), world, settings.family.modulus)
        queries = read_queries(folder_of(inputs, "queries", part))
        found[part] = (queries, QueryTokens(batch, queries, GoldDocuments(batch, table, settings.family.format), table))
    return found


def _model_of(arm: str, settings: VProbeSettings, inputs: Mapping[str, Path], folder: Path) -> PreTrainedModel:
    if arm == "trained":
        return freeze(load(inputs["checkpoint"]))
    model = freeze(build_control(inputs["checkpoint"], settings.seed))
    save(model, folder / "model")
    return model


def _trained_probe(settings: VProbeSettings, model: PreTrainedModel, training: QueryTokens, num_classes: int, folder: Path, arm: str) -> VProbe:
    """The arm's probe: trained, or read where an earlier attempt had finished it."""
    if (folder / WEIGHTS).exists() and (folder / LOSSES).exists():
        return load_probe(folder, model.device)
    label = f"{settings.task} {arm}"
    probe, losses = train_v_probe(settings, model, training, num_classes=num_classes, folder=folder, device=model.device, label=label)
    save_probe(probe, folder, settings.task)
    pq.write_table(pa.table({"step": np.arange(len(losses)), "loss": losses}), folder / LOSSES)
    return probe
